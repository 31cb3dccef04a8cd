"""Measure models on a dataset split and compare them with baselines and image codecs.

Writes metrics.json and reconstructions.png, and prints a table.

smoke-vq evaluate --models runs/my_vqvae/best --dataset data/rise64 --split validation --output-dir evaluation
smoke-vq evaluate --models runs/a/best runs/b/best --dataset data/rise64 --metrics image plume lpips fid
"""

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from smoke_vq.data.sources import check_sources, load_frames
from smoke_vq.evaluation.baselines import BASELINES
from smoke_vq.evaluation.comparison import Column, Comparison
from smoke_vq.evaluation.evaluator import EVALUATION_METRICS, ReconstructionEvaluator
from smoke_vq.metrics import METRICS, make_metrics, markdown_table
from smoke_vq.metrics.fid import InceptionFeatures
from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size
from smoke_vq.registry import choose
from smoke_vq.script import run, use_all_cores

ALWAYS = ("codebook", "codes", "size")


def main() -> None:
    arguments = parse_arguments()
    labels = arguments.labels or short_names(arguments.models)
    check_labels(labels, arguments.models)
    for name in arguments.models:
        check_model(name, AUTOENCODERS)
    check_sources([arguments.dataset], [arguments.split], frame_size(arguments.models[0]))
    from smoke_vq.models.auto import AutoAutoencoder

    accelerator = Accelerator(mixed_precision=arguments.mixed_precision)
    use_all_cores(accelerator)
    models = {
        label: AutoAutoencoder.from_pretrained(name).to(accelerator.device).eval()
        for label, name in zip(labels, arguments.models, strict=True)
    }
    processor = common_processor(arguments.models)
    with accelerator.main_process_first():
        options = {
            name: load(arguments, accelerator.device) for name, load in NETWORKS.items() if name in arguments.metrics
        }
        frames = load_frames(arguments.dataset, arguments.split, processor.height, max_frames=arguments.max_frames)
    evaluator = ReconstructionEvaluator(accelerator, frames, processor, arguments.batch_size, arguments.num_images)
    metrics = make_metrics([*arguments.metrics, *ALWAYS], **options)
    columns = evaluator.compare(models, Comparison(accelerator, evaluator.all, metrics))

    if accelerator.is_main_process:
        figures = {name: column.figures for name, column in columns.items()}
        folder = arguments.output_dir
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
        evaluator.picture(models).save(folder / "reconstructions.png")
        written = ["metrics.json", "reconstructions.png"]
        if arguments.per_sample:
            write_per_sample(folder / "per_sample.csv", columns)
            written.append("per_sample.csv")
        print(f"{markdown_table(figures)}\n\n{', '.join(written)}: {folder}")
    accelerator.wait_for_everyone()  # the main process alone computes FID: the others must not exit before it
    accelerator.end_training()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", "--model", nargs="+", required=True, help="folders of saved models, or Hub names 'user/repo'"
    )
    parser.add_argument("--labels", nargs="+", help="one name per model for the table (default: their folders)")
    parser.add_argument(
        "--dataset", required=True, help="folder, .safetensors file, Hub name or 'simulated:CONFIGURATION'"
    )
    parser.add_argument("--split", default="validation")
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=[name for name in EVALUATION_METRICS if name not in ALWAYS],
        help=f"some of {', '.join(METRICS)}; {', '.join(ALWAYS)} are always measured (default: those of a card)",
    )
    parser.add_argument("--alexnet-weights", help="safetensors file for LPIPS (or SMOKE_VQ_ALEXNET, or torchvision's)")
    parser.add_argument("--vgg16-weights", help="safetensors file for LPIPS (or SMOKE_VQ_VGG16, or torchvision's)")
    parser.add_argument("--inception-weights", help="safetensors file for FID (or SMOKE_VQ_INCEPTION, or a download)")
    parser.add_argument("--per-sample", action="store_true", help="write per_sample.csv: figures of every frame")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-frames", type=int, help="maximum number of frames, evenly spaced")
    parser.add_argument("--num-images", type=int, default=8, help="frames in the picture")
    parser.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"])
    parser.add_argument("--output-dir", type=Path, default=Path("evaluation"))
    arguments = parser.parse_args()
    for name in ("batch_size", "max_frames", "num_images"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ValueError(f"{name} expects 1 or more, found {getattr(arguments, name)}.")
    for name in arguments.metrics:
        choose(METRICS, name, "metric")
    return arguments


def lpips_networks(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    from smoke_vq.losses.perceptual import LPIPS

    weights = {"alex": arguments.alexnet_weights, "vgg": arguments.vgg16_weights}
    return {"functions": {f"lpips_{net}": LPIPS(net, path).to(device) for net, path in weights.items()}}


def inception_network(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    return {"network": InceptionFeatures(arguments.inception_weights).to(device)}


# Keyword arguments of the metrics that need a pretrained network.
NETWORKS = {"lpips": lpips_networks, "fid": inception_network}


def short_names(models: list[str]) -> list[str]:
    """The shortest endings of the paths that are unique; Hub names are unchanged."""
    parts = [Path(model).resolve().parts if Path(model).exists() else (model,) for model in models]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def check_labels(labels: list[str], models: list[str]) -> None:
    if len(labels) != len(models):
        raise ValueError(f"Expected one label per model: {len(models)} models, {len(labels)} labels.")
    taken = {"input", "error x4", *BASELINES}
    for label in labels:
        if label in taken:
            raise ValueError(f"The label {label!r} is used already: set other labels with --labels.")
        taken.add(label)


def common_processor(models: list[str]):
    """The processor of the models, which must all have the same frame size."""
    from smoke_vq.data.processor import SmokeImageProcessor

    processors = [SmokeImageProcessor.from_pretrained(model) for model in models]
    for model, processor in zip(models, processors, strict=True):
        if processor.height != processors[0].height:
            raise ValueError(
                f"All models must have the same frame size: {models[0]} takes {processors[0].height}x"
                f"{processors[0].height}, {model} {processor.height}x{processor.height}."
            )
    return processors[0]


def write_per_sample(path: Path, columns: dict[str, Column]) -> None:
    """One line per model and frame. `row` is the index of the frame; undefined figures are empty."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column.per_frame))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "row", *names])
        for model, column in columns.items():
            values = [column.per_frame[name].tolist() if name in column.per_frame else None for name in names]
            for row in range(column.figures["num_frames"]):
                cells = [math.nan if value is None else value[row] for value in values]
                writer.writerow([model, row, *("" if math.isnan(cell) else cell for cell in cells)])


if __name__ == "__main__":
    run(main)
