"""How a model came about: command, commit, hardware, data. Names only: no folder of this machine is published."""

import dataclasses
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from ..data.sources import find_source
from ..layout import ARGUMENTS, TRAINING
from ..version import __version__
from .model_folder import LOCAL_PATH

PATHS = ("init_from", "perceptual_weights")
ELSEWHERE = re.compile(r"^(/|~|\.\.(/|$)|[A-Za-z]:[\\/]|\\\\|file:)|/\.\.(/|$)")


def describe_training(arguments, num_processes: int) -> dict[str, Any]:
    """What is known of a training when its data are loaded.

    Args:
        arguments: those of the training, a dataclass.
    """
    weights = arguments.dataset_weights or [None] * len(arguments.dataset)
    init_from = getattr(arguments, "init_from", None)
    return {
        "command": command(),
        **commit(),
        "hardware": hardware(num_processes),
        "versions": {"smoke_vq": __version__, "torch": torch.__version__, "Python": platform.python_version()}
        | {name: version(name) for name in ("diffusers", "accelerate")},
        "training_data": [
            describe_data(source, arguments.train_split) | {"weight": weight}
            for source, weight in zip(arguments.dataset, weights, strict=True)
        ],
        "validation_data": [
            describe_data(source, arguments.validation_split)
            for source in arguments.validation_dataset or arguments.dataset
        ],
        "base_model": None if init_from is None else public_name(init_from),
    }


def write_provenance(folder: Path, training: dict[str, Any], arguments, result) -> None:
    """Write training.json and training_arguments.yaml into a model's folder.

    Args:
        training: what `describe_training` returned.
        result: the trainer's: the model's step, the seconds of training up to now, the fingerprint of the validation
            frames (number and CRC-32 of the pixels), and the evaluation, if the training is finished.
    """
    facts = training | {
        "step": result.step,
        "finished": result.evaluation is not None,
        "seconds": round(result.seconds, 1),
        "energy_kwh": None,
        "validation_frames": result.validation_frames,
    }
    (folder / TRAINING).write_text(json.dumps(facts, indent=2) + "\n")
    (folder / ARGUMENTS).write_text(yaml.safe_dump(public_arguments(arguments), sort_keys=False))


def public_arguments(arguments) -> dict[str, Any]:
    """The arguments to train again with, which neither resumes nor pushes; local data are named and not located."""
    values = dataclasses.asdict(arguments)
    for key in ("dataset", "validation_dataset"):
        if values[key] is not None:
            values[key] = [public_name(source) for source in values[key]]
    for key in PATHS:
        if values.get(key) is not None:
            values[key] = public_name(values[key])
    values |= {"output_dir": "runs", "resume": False, "push_to_hub": False, "hub_model_id": None, "hub_private": False}
    return values


def public_name(source: str) -> str:
    """A local path is reduced to its last part; other names (Hub, simulation) stay as they are."""
    if not find_source(source).is_local or not (Path(source).exists() or ELSEWHERE.search(source)):
        return source
    name = last_part(source)
    return name if find_source(name).is_local else f"./{name}"


def last_part(path: str) -> str:
    """Of a path on any system; a link is named by its own name."""
    return re.split(r"[/\\]", os.path.abspath(os.path.expanduser(path)).rstrip("/\\"))[-1] or "data"


def describe_data(source: str, split: str) -> dict[str, Any]:
    """Name, title, split, revision and license of a dataset, and whether it is on the Hub."""
    found, name = find_source(source), public_name(source)
    facts = {"name": name, "split": split, "revision": found.revision(source), "on_hub": found.on_hub}
    return facts | found.describe(source, name)


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


def hardware(num_processes: int = 1) -> str:
    if torch.cuda.is_available():
        return f"{num_processes} x {torch.cuda.get_device_name()}"
    cores = num_processes * torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({platform.machine()})"


def command() -> str:
    """The command line, with paths that leave the working folder reduced to their names."""
    words = []
    for word in sys.argv[1:]:
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        value = last_part(value) if ELSEWHERE.search(value) else value
        words.append(flag + equals + LOCAL_PATH.sub(lambda found: last_part(found[0]), value))
    return shlex.join(["accelerate", "launch", f"scripts/{Path(sys.argv[0]).name}", *words])
