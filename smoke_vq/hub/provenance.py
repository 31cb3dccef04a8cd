"""How a model came about: command, commit, hardware, time, data. Names only: no folder of this machine is published."""

import dataclasses
import json
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub import DatasetCard

from ..data.loading import dataset_revision, simulation_of
from ..version import __version__

TRAINING = "training.json"
ARGUMENTS = "training_arguments.yaml"
PATHS = ("init_from", "perceptual_weights")


def write_provenance(
    folder: Path, arguments, *, step: int, seconds: float, validation_frames: str, finished: bool = True
) -> None:
    """Write training.json and training_arguments.yaml into a model's folder.

    Args:
        arguments: those of the training, a dataclass.
        step: the model's optimizer step.
        seconds: of training, up to now.
        validation_frames: their fingerprint, number and CRC-32 of the pixels, which says which data they are where no
            Hub commit does.
        finished: whether the training has come to its end.
    """
    weights = arguments.dataset_weights or [None] * len(arguments.dataset)
    training = [
        describe_data(source, arguments.train_split) | {"weight": weight}
        for source, weight in zip(arguments.dataset, weights, strict=True)
    ]
    validation = [
        describe_data(source, arguments.validation_split)
        for source in arguments.validation_dataset or arguments.dataset
    ]
    init_from = getattr(arguments, "init_from", None)
    facts = {
        "command": command(),
        **commit(),
        "step": step,
        "finished": finished,
        "seconds": round(seconds, 1),
        "energy_kwh": None,
        "hardware": hardware(),
        "versions": {"smoke_vq": __version__, "torch": torch.__version__, "Python": platform.python_version()}
        | {name: version(name) for name in ("diffusers", "accelerate")},
        "training_data": training,
        "validation_data": validation,
        "validation_frames": validation_frames,
        "base_model": None if init_from is None else public_name(init_from),
    }
    (folder / TRAINING).write_text(json.dumps(facts, indent=2) + "\n")
    (folder / ARGUMENTS).write_text(yaml.safe_dump(public_arguments(arguments), sort_keys=False))


def public_arguments(arguments) -> dict[str, Any]:
    """The arguments with names in place of local paths."""
    values = dataclasses.asdict(arguments)
    for key in ("dataset", "validation_dataset"):
        if values[key] is not None:
            values[key] = [public_name(source) for source in values[key]]
    for key in PATHS:
        if values.get(key) is not None:
            values[key] = public_name(values[key])
    values["output_dir"] = "runs"
    return values


def public_name(source: str) -> str:
    """A Hub name or a simulation as it is, a local path by its last part."""
    path = Path(source)
    if simulation_of(source) is not None or not (path.exists() or path.is_absolute() or source.startswith("~")):
        return source
    name = Path(os.path.abspath(path)).name  # not resolved: a link is named by its own name
    return name if simulation_of(name) is None else f"./{name}"


def describe_data(source: str, split: str) -> dict[str, str | None]:
    """Name, title, split, revision and licence of a dataset, and whether the Hub has it."""
    configuration = simulation_of(source)
    facts = {"name": public_name(source), "split": split, "revision": dataset_revision(source), "on_hub": False}
    if configuration is not None:
        return facts | {"title": f"simulated plumes ({configuration})", "license": "cc0-1.0"}
    path = Path(source)
    card = path / "README.md"
    if card.is_file():
        try:
            data = DatasetCard.load(card).data.to_dict()
        except (ValueError, yaml.YAMLError):  # a text of the user's own, which is no card
            data = {}
        title = f"{facts['name']} ({data['pretty_name']})" if data.get("pretty_name") else facts["name"]
        return facts | {"title": title, "license": data.get("license_name") or data.get("license")}
    on_hub = not path.exists() and source.count("/") == 1
    return facts | {"title": public_name(source), "license": None, "on_hub": on_hub}


def commit() -> dict[str, Any]:
    """The library's git commit, and whether files were changed since; None where it runs outside its repository."""
    package = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", package, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "version.py")  # not a repository that only happens to contain it
        return {"commit": git("rev-parse", "HEAD"), "modified": git("status", "--porcelain", "--", package) != ""}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None}


def hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    return f"{threads} CPU core{'s' if threads > 1 else ''} ({platform.machine()})"


def command() -> str:
    """The command line with paths reduced to their names."""
    words = []
    for word in sys.argv[1:]:
        flag, equals, value = word.rpartition("=")
        words.append(flag + equals + (Path(value).name if Path(value).is_absolute() else value))
    return shlex.join(["accelerate", "launch", f"scripts/{Path(sys.argv[0]).name}", *words])
