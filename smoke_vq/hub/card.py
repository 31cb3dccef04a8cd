"""The model card, written from the files in a model's folder."""

import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import torch
import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml
from safetensors import safe_open

from ..assets import CARD_TEMPLATE
from ..downloads.checksums import digest, record_checksums
from ..layout import (
    ARGUMENTS,
    BEST,
    BY_HORIZON,
    CARD,
    CHECKSUMS,
    CONFIG,
    DISCRIMINATOR,
    EVAL_RESULTS,
    FILM,
    FORECASTER,
    LAST,
    METRICS,
    PICTURE,
    PIPELINE,
    PROCESSOR,
    PROCESSOR_FOLDER,
    SAMPLES,
    TRAINING,
    TRANSFORMER,
    VALIDATION,
    WEIGHTS_FILES,
)
from ..limits import read_json, read_yaml
from ..metrics import Figure, figure_of, markdown_table
from .forecast_figures import forecast_figures
from .markdown import as_code, as_plain
from .staging import published_files

LICENSE = "apache-2.0"
# Files that may be added to a saved model. The card itself is edited on the Hub, and so has no checksum.
_ADDED = (VALIDATION, METRICS, PICTURE, SAMPLES, FILM, BY_HORIZON, TRAINING, ARGUMENTS)
KNOWN_TO_THE_HUB = ("mse", "psnr", "ssim")


@dataclass(frozen=True)
class CardText:
    """Text and metadata for the cards of a model class.

    Args:
        template: Jinja template that extends `model_cards/template.md`, whose blocks it overrides; the default fits
            any model.
        tags: on the Hub.
        pipeline_tag: a task of the Hub, or None.
        task_name: the task that the figures measure.
        reported: figures in the card's metadata; None for all.
    """

    template: Path = CARD_TEMPLATE
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    task_name: str = "Validation"
    reported: tuple[str, ...] | None = None


def write_card(folder: Path, text: CardText | None = None, repo_id: str | None = None, license: str = LICENSE) -> None:
    """Write README.md and, for a dataset on the Hub, `.eval_results/` from the files in the folder.

    Only config.json (of a pipeline, model_index.json) and weights are required; the card says which figures and facts
    are unknown.

    Args:
        text: of the class of the model or pipeline.
        repo_id: where the card will be published, for its code example.
        license: of the weights, by its name on the Hub.
    """
    text, parts = text or CardText(), _read_json(folder / PIPELINE)
    class_name = (parts or _read_json(folder / CONFIG))["_class_name"]
    config = _read_json(folder / (TRANSFORMER if parts else "") / CONFIG)
    columns, facts = read_figures(folder), _read_json(folder / TRAINING)
    forecasts = forecast_figures(_read_json(folder / METRICS))
    figures = columns.get("this model", {})
    arguments = read_yaml(folder / ARGUMENTS, f"{folder / ARGUMENTS}") if (folder / ARGUMENTS).is_file() else {}
    training, validation = facts.get("training_data", []), facts.get("validation_data", [])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([text.template.parent, CARD_TEMPLATE.parent]),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": as_code, "plain": as_plain}
    try:
        content = environment.get_template(text.template.name).render(
            card_data=card_data(class_name, text, figures, facts, license).to_yaml(),
            name=repo_id or _local_name(folder),
            class_name=class_name,
            config={key: value for key, value in config.items() if not key.startswith("_") and key != "auto_map"},
            depth=_depth(config),
            figures=figures,
            baselines={name: column for name, column in columns.items() if name != "this model"},
            table=forecasts.table if forecasts else markdown_table(columns) if columns else None,
            legend=forecasts.legend if forecasts else _legend(columns),
            forecasts=forecasts,
            parts={name: part[1] for name, part in parts.items() if isinstance(part, list)},
            frame_size=_read_json(folder / PROCESSOR_FOLDER / PROCESSOR).get("size", {}).get("height"),
            facts=facts,
            arguments=arguments,
            recipe=facts.get("recipe") or _recipe_of_old_facts(arguments, facts),
            unseen=all(
                (one["name"], one["split"]) not in {(t["name"], t["split"]) for t in training} for one in validation
            ),
            validation_data=None if forecasts else in_words(validation),
            duration=duration(facts["seconds"]) if facts else None,
            pictures=[name for name in (PICTURE, SAMPLES, FILM, BY_HORIZON) if (folder / name).is_file()],
            has_discriminator=(folder / DISCRIMINATOR).is_dir(),
            files=_weights_files(folder),
            license=license,
        )
    except (AttributeError, KeyError, TypeError, jinja2.UndefinedError) as error:
        names = ", ".join((TRAINING, METRICS, ARGUMENTS))
        raise ValueError(
            f"No card can be written from {names} in {folder}: {type(error).__name__}, {error}."
        ) from error
    content = re.sub(r"\n{3,}", "\n\n", content)  # empty blocks leave empty lines
    (folder / CARD).write_text(content, encoding="utf-8")
    if (folder / CHECKSUMS).is_file():  # the model's own files are recorded since they were saved
        record_checksums(folder, [name for name in _ADDED if (folder / name).is_file()])
    results = eval_results(_reported(figures, text), facts)
    if results:
        (folder / EVAL_RESULTS).parent.mkdir(exist_ok=True)
        (folder / EVAL_RESULTS).write_text(yaml.safe_dump(results, sort_keys=False))


def read_figures(folder: Path) -> dict[str, dict[str, Any]]:
    """The columns of metrics.json or, before the final evaluation, one column of the last validation."""
    columns = _read_json(folder / METRICS)
    forecasts = forecast_figures(columns)
    if forecasts is not None:
        return {"this model": forecasts.figures}
    if columns:
        return _checked(columns, folder / METRICS)
    figures = {name: value for name, value in _read_json(folder / VALIDATION).items() if name != "step"}
    return _checked({"this model": figures} if figures else {}, folder / VALIDATION)


def _checked(columns: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """The columns, if all figures are numbers or null; their names are made safe for a table."""
    for name, column in columns.items():
        for figure, value in column.items() if isinstance(column, dict) else [(name, column)]:
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                raise ValueError(f"{path} has {figure} = {value!r:.99}: expected a number or null.")
    return {as_plain(name): column for name, column in columns.items()}


def card_data(
    class_name: str, text: CardText, figures: dict[str, Any], facts: dict, license: str = LICENSE
) -> ModelCardData:
    """The card's metadata, with a `model-index` of the figures on all validation data together."""
    base_model = facts.get("base_model")
    used = facts.get("training_data", []) + facts.get("validation_data", [])
    reported = _reported(figures, text)
    return ModelCardData(
        license=license,
        library_name="smoke-vq",
        pipeline_tag=text.pipeline_tag,
        tags=list(text.tags) or None,
        datasets=sorted({data["name"] for data in used if data["on_hub"]}) or None,
        metrics=[name for name in KNOWN_TO_THE_HUB if name in figures] or None,
        base_model=base_model if base_model is not None and base_model.count("/") == 1 else None,
        model_name=class_name,
        eval_results=_model_index(text, reported, facts) or None,
    )


def _model_index(text: CardText, reported: dict[str, float], facts: dict) -> list[EvalResult]:
    data = facts.get("validation_data")
    if not data:
        return []
    return [
        EvalResult(
            task_type=text.pipeline_tag or "other",
            task_name=text.task_name,
            dataset_type=" + ".join(one["name"] for one in data),
            dataset_name=" + ".join(one["title"] for one in data),
            dataset_split=data[0]["split"],
            dataset_revision=revision(facts),
            metric_type=metric,
            metric_name=metric,
            metric_value=round(value, 6),
        )
        for metric, value in reported.items()
    ]


def eval_results(reported: dict[str, float], facts: dict) -> list[dict]:
    """Entries of `.eval_results/*.yaml`, which name a dataset of the Hub; none for other data."""
    data = facts.get("validation_data", [])
    if len(data) != 1 or not data[0]["on_hub"]:
        return []
    entries = [
        EvalResultEntry(
            dataset_id=data[0]["name"],
            task_id=metric,
            value=round(value, 6),
            dataset_revision=data[0]["revision"],
            date=date.today().isoformat(),
            notes=f"split {data[0]['split']}, step {facts['step']}",
        )
        for metric, value in reported.items()
    ]
    return eval_result_entries_to_yaml(entries)


def revision(facts: dict) -> str:
    """The revisions of the validation data, or the fingerprint of their pixels if a revision is unknown."""
    revisions = [data["revision"] for data in facts["validation_data"]]
    return " + ".join(revisions) if all(revisions) else facts["validation_frames"]


def in_words(data: list[dict]) -> str:
    """The titles of datasets, joined as in a sentence."""
    names = [f"`{as_code(one['title'])}`" for one in data]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def _legend(columns: dict[str, dict[str, Any]]) -> list[Figure]:
    return [figure_of(name) for name in dict.fromkeys(name for column in columns.values() for name in column)]


def _recipe_of_old_facts(arguments: dict[str, Any], facts: dict) -> str | None:
    """The training losses of a model whose training.json, of an older version, does not name them."""
    if not facts:
        return None
    losses = ["the squared error"]
    if arguments.get("perceptual_weight", 0) > 0:
        losses.append("a perceptual loss")
    if arguments.get("adversarial_weight", 0) > 0 and facts.get("step", 0) > arguments.get("disc_start", 0):
        losses.append("an adversarial loss")
    return ", ".join([*losses, "and the quantizer's losses"])


def _depth(config: dict[str, Any]) -> int:
    """Codes at each position of an autoencoder; 1 for other models and for configurations without a quantizer."""
    if "quantizer_type" not in config:
        return 1
    from ..quantizers import make_quantizer  # imports diffusers, which slips of `smoke-vq push` need not wait for

    names = ("quantizer_type", "num_vq_embeddings", "latent_channels", "quantizer_kwargs")
    with torch.device("meta"):  # without memory and random numbers
        return make_quantizer(*(config.get(name) for name in names)).depth


def _precision(path: Path) -> str:
    """Number formats of the floating-point weights in a file, such as "F16, F32"."""
    with safe_open(path, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  (not a dict)
    return ", ".join(sorted(kind for kind in kinds if "F" in kind))


def _weights_files(folder: Path) -> list[tuple[str, int, str, str]]:
    """Name, bytes, precision and sha256 of each."""
    return [
        (path.relative_to(folder).as_posix(), path.stat().st_size, _precision(path), digest(path))
        for path in published_files(folder, WEIGHTS_FILES)
    ]


def _reported(figures: dict[str, Any], text: CardText) -> dict[str, float]:
    names = figures if text.reported is None else [name for name in text.reported if name in figures]
    return {
        name: figures[name] for name in names if isinstance(figures[name], int | float) and math.isfinite(figures[name])
    }


def _local_name(folder: Path) -> str:
    """As in the commands of the README: `runs/<run>/best`."""
    folder = folder.resolve()
    return f"runs/{folder.parent.name}/{folder.name}" if folder.name in (BEST, LAST, FORECASTER) else folder.name


def _read_json(path: Path) -> dict[str, Any]:
    content = read_json(path, str(path)) if path.is_file() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object: found a {type(content).__name__}.")
    return content
