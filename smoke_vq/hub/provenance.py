"""How a model was trained: command, commit, hardware and data, without local paths."""

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
from .private_texts import LOCAL_PATH

SOURCES = ("dataset", "validation_dataset", "init_from", "perceptual_weights", "autoencoder", "projection")
RESET = {
    **{"output_dir": "runs", "resume_from_checkpoint": None},
    **{"push_to_hub": False, "hub_model_id": None, "hub_private_repo": False},
}
ELSEWHERE = re.compile(r"^(/|~|\.\.(/|$)|[A-Za-z]:[\\/]|\\\\|file:)|/\.\.(/|$)")


def describe_training(
    dataset: list[str],
    train_split: str,
    validation_split: str,
    *,
    dataset_weights: list[float] | None = None,
    validation_dataset: list[str] | None = None,
    init_from: str | None = None,
    num_processes: int = 1,
) -> dict[str, Any]:
    """Return the facts that are known when a training starts, for `write_provenance`."""
    weights = dataset_weights or [None] * len(dataset)
    return {
        "command": command(),
        **commit(),
        "hardware": hardware(num_processes),
        "versions": {"smoke_vq": __version__, "torch": torch.__version__, "Python": platform.python_version()}
        | {name: version(name) for name in ("diffusers", "accelerate")},
        "training_data": [
            describe_data(source, train_split) | {"weight": weight}
            for source, weight in zip(dataset, weights, strict=True)
        ],
        "validation_data": [describe_data(source, validation_split) for source in validation_dataset or dataset],
        "base_model": None if init_from is None else public_name(init_from),
    }


def write_provenance(folder: Path, training: dict[str, Any], arguments: dict[str, Any], result) -> None:
    """Write training.json and training_arguments.yaml into a model's folder.

    Args:
        training: from `describe_training`, with any other facts; `recipe` names the training losses.
        arguments: from `public_arguments`.
        result: the trainer's result: the model's step, the seconds of training so far, the fingerprint of the
            validation frames (number and CRC-32 of the pixels), and the evaluation, None before training has finished.
    """
    facts = training | {
        "step": result.step,
        "finished": result.evaluation is not None,
        "seconds": round(result.seconds, 1),
        "energy_kwh": None,
        "validation_frames": result.validation_frames,
    }
    (folder / TRAINING).write_text(json.dumps(facts, indent=2) + "\n")
    (folder / ARGUMENTS).write_text(yaml.safe_dump(arguments, sort_keys=False))


def public_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that repeat a training, without local folders, resuming and pushing."""
    public = {}
    for key, value in arguments.items():
        if key in RESET:
            value = RESET[key]
        elif key in SOURCES and value is not None:
            value = [public_name(source) for source in value] if isinstance(value, list) else public_name(value)
        public[key] = value
    return public


def public_name(source: str) -> str:
    """A local path is reduced to its last part; other names (Hub, simulation) stay as they are."""
    if not find_source(source).is_local or not (Path(source).exists() or ELSEWHERE.search(source)):
        return source
    name = last_part(source)
    return name if find_source(name).is_local else f"./{name}"


def last_part(path: str) -> str:
    """The last part of a POSIX or Windows path; symbolic links are not resolved."""
    return re.split(r"[/\\]", os.path.abspath(os.path.expanduser(path)).rstrip("/\\"))[-1] or "data"


def describe_data(source: str, split: str) -> dict[str, Any]:
    """Name, title, split, revision and license of a dataset, and whether it is on the Hub."""
    found, name = find_source(source), public_name(source)
    facts = {"name": name, "split": split, "revision": found.revision(source), "on_hub": found.on_hub}
    return facts | found.describe(source, name)


def commit() -> dict[str, Any]:
    """The library's git commit, and whether files were changed since; None outside its repository."""
    package = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", package, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "version.py")  # fails in another repository that contains the library
        return {"commit": git("rev-parse", "HEAD"), "modified": git("status", "--porcelain", "--", package) != ""}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None}


def hardware(num_processes: int = 1) -> str:
    if torch.cuda.is_available():
        return f"{num_processes} x {torch.cuda.get_device_name()}"
    cores = num_processes * torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({platform.machine()})"


def command() -> str:
    """The command line, with paths outside the working folder reduced to their last part."""
    words = []
    for word in sys.argv[1:]:
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        value = last_part(value) if ELSEWHERE.search(value) else value
        words.append(flag + equals + LOCAL_PATH.sub(lambda found: last_part(found[0]), value))
    script = Path(sys.argv[0])
    program = ["accelerate", "launch", f"scripts/{script.name}"] if script.suffix == ".py" else script.name.split()
    return shlex.join([*program, *words])
