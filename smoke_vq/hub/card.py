"""The model card: what lies in a model's folder, told to someone who knows nothing of it."""

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml

from ..assets import CARD_TEMPLATE
from ..downloads.checksums import digest
from ..layout import (
    ARGUMENTS,
    BEST,
    CARD,
    CONFIG,
    DISCRIMINATOR,
    EVAL_RESULTS,
    LAST,
    METRICS,
    PICTURE,
    SAMPLES,
    TRAINING,
    VALIDATION,
    WEIGHTS_FILES,
)
from ..metrics import markdown_table
from .model_folder import published_files

LICENSE = "apache-2.0"
REPORTED = ("masked_mse", "background_mse", "psnr", "ssim", "perceptual", "num_codes_used", "perplexity")


def write_card(folder: Path, repo_id: str | None = None, license: str = LICENSE) -> None:
    """Write README.md, and `.eval_results/` where the Hub has the dataset, from what lies in the folder.

    Nothing but config.json and weights has to be there: a figure or fact that is not known is said not to be.

    Args:
        repo_id: where the card will be read, for its snippet.
        license: of the weights, by its name on the Hub.
    """
    config = json.loads((folder / CONFIG).read_text())
    columns, facts = read_figures(folder), _read_json(folder / TRAINING)
    arguments = yaml.safe_load((folder / ARGUMENTS).read_text()) if (folder / ARGUMENTS).is_file() else {}
    grid = config["sample_size"] // 2 ** (len(config["encoder_block_out_channels"]) - 1)
    training, validation = facts.get("training_data", []), facts.get("validation_data", [])
    card = ModelCard.from_template(
        card_data(config["_class_name"], columns.get("this model", {}), facts, license),
        template_path=str(CARD_TEMPLATE),
        name=repo_id or _local_name(folder),
        class_name=config["_class_name"],
        config=config,
        grid=grid,
        bits=grid**2 * math.ceil(math.log2(config["num_vq_embeddings"])),
        figures=columns.get("this model", {}),
        baselines={name: column for name, column in columns.items() if name != "this model"},
        table=markdown_table(columns) if columns else None,
        facts=facts,
        recipe=_recipe(arguments, facts),
        averaged=arguments.get("ema_decay", 0) > 0,
        unseen=all(
            (one["name"], one["split"]) not in {(t["name"], t["split"]) for t in training} for one in validation
        ),
        validation_data=in_words(validation),
        duration=duration(facts["seconds"]) if facts else None,
        pictures=[name for name in (PICTURE, SAMPLES) if (folder / name).is_file()],
        has_discriminator=(folder / DISCRIMINATOR).is_dir(),
        files=[
            (path.relative_to(folder).as_posix(), path.stat().st_size, digest(path))
            for path in published_files(folder, WEIGHTS_FILES)
        ],
        license=license,
    )
    card.save(folder / CARD)
    results = eval_results(columns.get("this model", {}), facts)
    if results:
        (folder / EVAL_RESULTS).parent.mkdir(exist_ok=True)
        (folder / EVAL_RESULTS).write_text(yaml.safe_dump(results, sort_keys=False))


def read_figures(folder: Path) -> dict[str, dict[str, Any]]:
    """By column: those of metrics.json, or before there is one those of the last validation."""
    columns = _read_json(folder / METRICS)
    if columns:
        return columns
    figures = _read_json(folder / VALIDATION)
    return {"this model": figures} if "psnr" in figures else {}


def card_data(class_name: str, figures: dict[str, float], facts: dict, license: str = LICENSE) -> ModelCardData:
    """The card's metadata, with a `model-index` of the figures measured on the validation data together."""
    base_model = facts.get("base_model")
    used = facts.get("training_data", []) + facts.get("validation_data", [])
    on_hub = sorted({data["name"] for data in used if data["on_hub"]})
    measured = [name for name in ("mse", "psnr", "ssim") if name in figures]  # those that the Hub knows by name
    return ModelCardData(
        license=license,
        library_name="smoke-vq",
        pipeline_tag="image-to-image",
        tags=["smoke", "plumes", "vector-quantization", "vqgan" if "GAN" in class_name else "vq-vae", "autoencoder"],
        datasets=on_hub or None,
        metrics=measured or None,
        base_model=base_model if base_model is not None and base_model.count("/") == 1 else None,
        model_name=class_name,
        eval_results=_model_index(figures, facts) or None,
    )


def _model_index(figures: dict[str, float], facts: dict) -> list[EvalResult]:
    data = facts.get("validation_data")
    if not data:
        return []
    return [
        EvalResult(
            task_type="image-to-image",
            task_name="Reconstruction",
            dataset_type=" + ".join(one["name"] for one in data),
            dataset_name=" + ".join(one["title"] for one in data),
            dataset_split=data[0]["split"],
            dataset_revision=revision(facts),
            metric_type=metric,
            metric_name=metric,
            metric_value=round(figures[metric], 6),
        )
        for metric in REPORTED
        if metric in figures
    ]


def eval_results(figures: dict[str, float], facts: dict) -> list[dict]:
    """Entries of `.eval_results/*.yaml`, which name a dataset of the Hub; none for other data."""
    data = facts.get("validation_data", [])
    if len(data) != 1 or not data[0]["on_hub"]:
        return []
    entries = [
        EvalResultEntry(
            dataset_id=data[0]["name"],
            task_id=metric,
            value=round(figures[metric], 6),
            dataset_revision=data[0]["revision"],
            date=date.today().isoformat(),
            notes=f"reconstruction of split {data[0]['split']}, step {facts['step']}",
        )
        for metric in REPORTED
        if metric in figures
    ]
    return eval_result_entries_to_yaml(entries)


def revision(facts: dict) -> str:
    """Of the validation data: their own where all have one, else the fingerprint of their pixels."""
    revisions = [data["revision"] for data in facts["validation_data"]]
    return " + ".join(revisions) if all(revisions) else facts["validation_frames"]


def in_words(data: list[dict]) -> str:
    """Datasets as a phrase."""
    names = [f"`{one['title']}`" for one in data]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def _recipe(arguments: dict[str, Any], facts: dict) -> list[str]:
    """The losses that the model learned from, beside the squared error."""
    losses = ["a perceptual"] if arguments.get("perceptual_weight", 0) > 0 else []
    if arguments.get("adversarial_weight", 0) > 0 and facts.get("step", 0) > arguments.get("disc_start", 0):
        losses.append("an adversarial")
    return losses


def _local_name(folder: Path) -> str:
    """As the README's commands write it: `runs/<run>/best`."""
    folder = folder.resolve()
    return f"runs/{folder.parent.name}/{folder.name}" if folder.name in (BEST, LAST) else folder.name


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
