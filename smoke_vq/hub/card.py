"""The model card: what was measured, written next to the weights."""

import dataclasses
import json
import platform
import shlex
import sys
from pathlib import Path

import torch
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..data.loading import simulation_of
from ..metrics import markdown_table
from ..version import __version__

REPORTED = ("masked_mse", "background_mse", "psnr", "ssim", "num_codes_used", "perplexity")


def write_model_folder(result, arguments, template: Path) -> None:
    """Complete the exported folder of a finished training: metrics, picture, arguments and card; print the summary.

    Args:
        result: what `Trainer.train` returned.
        arguments: those of the training.
        template: the card's Jinja template.
    """
    folder, evaluation = result.folder, result.evaluation
    columns = {"this model": evaluation.metrics} | evaluation.baselines
    (folder / "metrics.json").write_text(json.dumps(columns, indent=2) + "\n")
    evaluation.picture.save(folder / "reconstructions.png")
    values = dataclasses.asdict(arguments)
    # A card travels: it says which data by name, not where they lay on this machine.
    for key in ("dataset", "validation_dataset"):
        if values[key] is not None:
            values[key] = [dataset_name(source) for source in values[key]]
    for key in ("init_from", "perceptual_weights"):
        if values.get(key) is not None and Path(values[key]).exists():
            values[key] = Path(values[key]).name
    values["output_dir"] = "runs"
    (folder / "training_arguments.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    config = json.loads((folder / "config.json").read_text())
    table = markdown_table(columns)
    training_data = [dataset_title(name) for name in values["dataset"]]
    validation_data = [dataset_title(name) for name in values["validation_dataset"] or values["dataset"]]
    card = ModelCard.from_template(
        card_data(config["_class_name"], validation_data, arguments.validation_split, evaluation.metrics),
        template_path=str(template),
        class_name=config["_class_name"],
        config=config,
        table=table,
        training_data=in_words(training_data, arguments.dataset_weights if len(training_data) > 1 else None),
        validation_data=in_words(validation_data),
        step=result.step,
        duration=duration(result.seconds),
        hardware=hardware(),
        command=command(),
        versions=f"smoke_vq {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    )
    card.save(folder / "README.md")
    print(f"\n{table}\n\nBest model (step {result.step}), card and picture: {folder}")


def card_data(class_name: str, datasets: list[str], split: str, metrics: dict[str, float]) -> ModelCardData:
    """The card's metadata, with a `model-index` of the figures measured on `datasets` together."""
    dataset = " + ".join(datasets)
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="Reconstruction",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=name,
            metric_name=name,
            metric_value=round(metrics[name], 6),
        )
        for name in REPORTED
    ]
    return ModelCardData(
        license="apache-2.0",
        library_name="smoke-vq",
        pipeline_tag="image-to-image",
        tags=["smoke", "vector-quantization", "vq-vae", "autoencoder", "diffusers"],
        model_name=class_name,
        eval_results=results,
    )


def dataset_name(source: str) -> str:
    """A Hub name or a simulation as it is, a local path by its last part."""
    path = Path(source)
    if simulation_of(source) is not None or not (path.exists() or path.is_absolute()):
        return source
    return path.name if simulation_of(path.name) is None else f"./{path.name}"


def dataset_title(name: str) -> str:
    """What a reader sees for a `dataset_name`."""
    configuration = simulation_of(name)
    return name if configuration is None else f"simulated plumes ({configuration})"


def in_words(datasets: list[str], weights: list[float] | None = None) -> str:
    """Datasets as a phrase, with their weights in a mix if there are any."""
    names = [f"`{dataset}`" for dataset in datasets]
    if weights is not None:
        names = [f"{name} (weight {weight:g})" for name, weight in zip(names, weights, strict=True)]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{torch.get_num_threads()} CPU cores ({platform.machine()})"


def duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def command() -> str:
    """The command line with paths reduced to their names, so that no local folder is published."""
    words = []
    for word in sys.argv[1:]:
        flag, equals, value = word.rpartition("=")
        words.append(flag + equals + (Path(value).name if Path(value).is_absolute() else value))
    return shlex.join(["accelerate", "launch", f"scripts/{Path(sys.argv[0]).name}", *words])
