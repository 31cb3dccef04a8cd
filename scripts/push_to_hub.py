"""Publish a trained model, or a dataset, in one commit.

For a model: weights in float32 and fp16, configuration, discriminator, card, pictures, figures and provenance. For a
forecaster: all its models as they are in the folder. Both are loaded first, so that a damaged model is not published.

smoke-vq push --folder runs/my_vqgan/best --repo-id user/smoke-vqgan
smoke-vq push --folder runs/my_vqgan/best --repo-id user/smoke-vqgan --private --dry-run
smoke-vq push --folder data/plumes64 --repo-id user/plumes --repo-type dataset
"""

import argparse
import json
from pathlib import Path

from smoke_vq.hub.card import LICENSE, write_card
from smoke_vq.hub.private_texts import check_texts
from smoke_vq.hub.push import check_dataset, check_target, open_repo, push_dataset, push_folder
from smoke_vq.hub.staging import published_files, stage_model
from smoke_vq.layout import CARD, DATASET_FILES, DISCRIMINATOR, MODEL_FILES, PIPELINE, TRAINING
from smoke_vq.script import run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="best/ of a run, forecaster, or prepared dataset")
    parser.add_argument("--repo-id", required=True, metavar="USER/NAME")
    parser.add_argument("--repo-type", choices=("model", "dataset"), default="model")
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument("--revision", help="branch, created if it does not exist (default: main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of pushing")
    parser.add_argument("--no-fp16", action="store_true", help="publish float32 only")
    parser.add_argument("--energy-kwh", type=float, help="energy of the training, if known, for the card")
    parser.add_argument("--license", help=f"license of the weights, for the card (default: {LICENSE})")
    parser.add_argument("--commit-message", help="default: 'Upload model' or 'Upload dataset'")
    parser.add_argument("--dry-run", action="store_true", help="print card and files; do not contact the Hub")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.energy_kwh is not None and not 0 < arguments.energy_kwh < float("inf"):
        raise ValueError(f"energy-kwh is {arguments.energy_kwh}: expected a number above 0.")
    if not arguments.folder.is_dir():
        raise ValueError(f"The folder {arguments.folder} does not exist.")
    target = (arguments.repo_id, arguments.repo_type, arguments.private, arguments.revision, arguments.create_pr)
    check_target(*target)
    if arguments.repo_type == "dataset":
        if arguments.no_fp16 or arguments.energy_kwh is not None or arguments.license is not None:
            raise ValueError("--no-fp16, --energy-kwh and --license are for models: found --repo-type dataset.")
        publish_dataset(arguments, target)
    else:
        publish_model(arguments, target)


def publish_dataset(arguments: argparse.Namespace, target: tuple) -> None:
    check_dataset(arguments.folder)
    if arguments.dry_run:
        print_listing(arguments.folder, DATASET_FILES, arguments)
        return
    open_repo(*target)
    message = arguments.commit_message or "Upload dataset"
    address = push_dataset(arguments.folder, arguments.repo_id, arguments.revision, arguments.create_pr, message)
    print(f"Pushed: {address}")


def publish_model(arguments: argparse.Namespace, target: tuple) -> None:
    with stage_model(arguments.folder) as stage:  # training may continue and replace files of the folder
        complete(stage, arguments)
        if arguments.dry_run:
            print_listing(stage, MODEL_FILES, arguments)
            return
        open_repo(*target)
        message = arguments.commit_message or "Upload model"
        revision, create_pr = arguments.revision, arguments.create_pr
        print(
            f"Pushed: {push_folder(stage, arguments.repo_id, revision=revision, create_pr=create_pr, message=message)}"
        )


def complete(stage: Path, arguments: argparse.Namespace) -> None:
    """Check that the staged model loads, add or remove the fp16 variant, and write the card."""
    from smoke_vq import PatchDiscriminator, SmokeForecastPipeline
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.training.export import update_model

    half, is_pipeline = sorted(stage.glob("diffusion_pytorch_model*.fp16*")), (stage / PIPELINE).is_file()
    try:
        model = SmokeForecastPipeline.from_pretrained(stage) if is_pipeline else AutoAutoencoder.from_pretrained(stage)
        if half and not arguments.no_fp16:
            AutoAutoencoder.from_pretrained(stage, variant="fp16")
        if (stage / DISCRIMINATOR).is_dir():
            PatchDiscriminator.from_pretrained(stage, subfolder=DISCRIMINATOR)
    except (ValueError, OSError) as error:  # the error names the staged copy
        raise ValueError(str(error).replace(str(stage), str(arguments.folder))) from error
    if arguments.no_fp16:
        for path in half:
            path.unlink()
    elif not is_pipeline and not half and not stored_in_half(stage):
        update_model(model, stage, "fp16")
    facts = stage / TRAINING
    if arguments.energy_kwh is not None:
        if not facts.is_file():
            raise ValueError(f"{arguments.folder} has no {TRAINING} to write the energy into.")
        text = json.dumps(json.loads(facts.read_text()) | {"energy_kwh": arguments.energy_kwh}, indent=2)
        facts.unlink()  # a hard link to the folder's own file
        facts.write_text(text + "\n")
    write_card(stage, model.card_text, arguments.repo_id, arguments.license or LICENSE)


def stored_in_half(folder: Path) -> bool:
    import torch
    from safetensors.torch import load_file

    weights = load_file(next(folder.glob("diffusion_pytorch_model*.safetensors")))
    return any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in weights.values())


def print_listing(folder: Path, patterns: tuple[str, ...], arguments: argparse.Namespace) -> None:
    files = published_files(folder, patterns)
    check_texts(files)
    print((folder / CARD).read_text())
    where = "a pull request" if arguments.create_pr else f"branch {arguments.revision or 'main'}"
    print(f"Would push to {arguments.repo_type} {arguments.repo_id}, {where}, in one commit:")
    for path in files:
        print(f"{path.stat().st_size:>14,}  {path.relative_to(folder)}")


if __name__ == "__main__":
    run(main)
