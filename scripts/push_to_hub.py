"""Publish a trained model, or a dataset, in one commit.

Of a model: weights in float32 and fp16, configuration, discriminator, card, pictures, figures, provenance.

python scripts/push_to_hub.py --folder runs/my_vqgan/best --repo-id user/smoke-vqgan
python scripts/push_to_hub.py --folder runs/my_vqgan/best --repo-id user/smoke-vqgan --private --dry-run
python scripts/push_to_hub.py --folder data/plumes64 --repo-id user/plumes --repo-type dataset

A model is loaded first, so that nothing is published that does not load.
"""

import argparse
import json
from pathlib import Path

from smoke_vq import PatchDiscriminator
from smoke_vq.command import run
from smoke_vq.hub.card import write_card
from smoke_vq.hub.provenance import TRAINING
from smoke_vq.hub.push import (
    check_dataset,
    check_repo_id,
    check_texts,
    open_repo,
    published_files,
    push_dataset,
    push_model,
    stage_model,
)
from smoke_vq.models.auto import AutoAutoencoder
from smoke_vq.training.export import add_variant


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="that training wrote, or a prepared dataset")
    parser.add_argument("--repo-id", required=True, metavar="USER/NAME")
    parser.add_argument("--repo-type", choices=("model", "dataset"), default="model")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--revision", help="branch, made if need be (default: main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of pushing")
    parser.add_argument("--no-fp16", action="store_true", help="publish float32 alone")
    parser.add_argument("--energy-kwh", type=float, help="what the training took, where you know it, for the card")
    parser.add_argument("--commit-message", help="(default: Upload model, or dataset)")
    parser.add_argument("--dry-run", action="store_true", help="print what would go, and the card; ask the Hub nothing")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.energy_kwh is not None and not 0 < arguments.energy_kwh < float("inf"):
        raise ValueError(f"energy-kwh is {arguments.energy_kwh}: expected a number above 0.")
    check_repo_id(arguments.repo_id, arguments.repo_type)
    if not arguments.folder.is_dir():
        raise ValueError(f"There is no folder {arguments.folder}.")
    if arguments.create_pr and arguments.revision is not None:
        raise ValueError("A pull request makes a branch of its own: give one of --create-pr and --revision.")
    if arguments.repo_type == "dataset":
        if arguments.no_fp16 or arguments.energy_kwh is not None:
            raise ValueError("--no-fp16 and --energy-kwh are for models: found --repo-type dataset.")
        publish_dataset(arguments)
    else:
        publish_model(arguments)


def publish_dataset(arguments: argparse.Namespace) -> None:
    check_dataset(arguments.folder)
    if arguments.dry_run:
        print_listing(arguments.folder, arguments)
        return
    open_repo(arguments.repo_id, "dataset", arguments.private, arguments.create_pr)
    message = arguments.commit_message or "Upload dataset"
    address = push_dataset(arguments.folder, arguments.repo_id, arguments.revision, arguments.create_pr, message)
    print(f"Pushed: {address}")


def publish_model(arguments: argparse.Namespace) -> None:
    model = AutoAutoencoder.from_pretrained(arguments.folder)
    if any(arguments.folder.glob("*.fp16*.safetensors")) and not arguments.no_fp16:
        AutoAutoencoder.from_pretrained(arguments.folder, variant="fp16")
    if (arguments.folder / "discriminator").is_dir():
        PatchDiscriminator.from_pretrained(arguments.folder, subfolder="discriminator")
    if not arguments.dry_run:
        open_repo(arguments.repo_id, "model", arguments.private, arguments.create_pr)
    with stage_model(arguments.folder, arguments.repo_id) as stage:
        complete(stage, model, arguments)
        if arguments.dry_run:
            print((stage / "README.md").read_text())
            print_listing(stage, arguments)
            return
        address = push_model(
            stage,
            arguments.repo_id,
            revision=arguments.revision,
            create_pr=arguments.create_pr,
            message=arguments.commit_message or "Upload model",
        )
        print(f"Pushed: {address}")


def print_listing(folder: Path, arguments: argparse.Namespace) -> None:
    check_texts(folder)
    where = "a pull request" if arguments.create_pr else f"branch {arguments.revision or 'main'}"
    print(f"Would push to {arguments.repo_type} {arguments.repo_id}, {where}, in one commit:")
    for path in published_files(folder):
        print(f"{path.stat().st_size:>14,}  {path.relative_to(folder)}")


def complete(stage: Path, model, arguments: argparse.Namespace) -> None:
    """Bring weights and facts of the staged folder to what was asked for, and the card with them."""
    half = sorted(stage.glob("diffusion_pytorch_model*.fp16*"))
    if arguments.no_fp16:
        for path in half:
            path.unlink()
    elif not half:
        add_variant(model, stage, "fp16")
    facts = stage / TRAINING
    if arguments.energy_kwh is not None:
        if not facts.is_file():
            raise ValueError(f"{arguments.folder} has no {TRAINING}: there is no training that took this energy.")
        text = json.dumps(json.loads(facts.read_text()) | {"energy_kwh": arguments.energy_kwh}, indent=2)
        facts.unlink()  # a link to the folder's own
        facts.write_text(text + "\n")
    write_card(stage, arguments.repo_id)


if __name__ == "__main__":
    run(main)
