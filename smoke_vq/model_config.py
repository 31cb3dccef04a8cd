"""Configurations of models, read without importing the classes of models, which takes seconds."""

import ast
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .downloads.download import describe_missing, find_folder
from .layout import CONFIG, PROCESSOR
from .limits import read_json
from .version import CONFIG_FORMAT, __version__

AUTOENCODERS = ("SmokeVQVAE", "SmokeVQGAN")  # names of classes
_MODELS = Path(__file__).parent / "models"


def read_config(folder: Path, name_or_path: str | os.PathLike, name: str = CONFIG) -> dict[str, Any]:
    """Return the config.json in `folder`, or another file; `name_or_path` is what the user wrote, for error messages.

    Raises:
        ValueError: it does not belong to a model, or has the format of a later version.
    """
    config = read_json(folder / name, f"The {name} of {name_or_path}")
    if not isinstance(config, dict) or not isinstance(config.get("_class_name"), str):
        raise ValueError(f"The {name} of {name_or_path} does not name a model class: expected a saved model.")
    found, writer = config.get("_smoke_vq_format", 1), config.get("_smoke_vq_version", "an unknown version")
    if type(found) is not int or not 1 <= found <= CONFIG_FORMAT:
        raise ValueError(
            f"{name_or_path} was saved by smoke_vq {writer} in format {found}, but smoke_vq {__version__} reads "
            f"formats 1 to {CONFIG_FORMAT}: upgrade smoke_vq to load it."
        )
    return config


def check_model(
    name_or_path: str | os.PathLike, classes: Collection[str], name: str = CONFIG, revision: str | None = None
) -> dict[str, Any] | None:
    """The configuration of a model before it is loaded, or None if it is on the Hub.

    Args:
        classes: names of the classes that it may have.
        name: of the file with the configuration: model_index.json for a pipeline.

    Raises:
        OSError: as `find_folder`; FileNotFoundError if a local folder does not hold the file.
        ValueError: as `find_folder` and `read_config`; a model of another class.
    """
    folder = find_folder(name_or_path, revision=revision)
    if folder is None:
        return None
    names = [path.name for path in folder.iterdir()]
    if name not in names:
        raise FileNotFoundError(f"The folder {folder} {describe_missing(name, names)}")
    config = read_config(folder, name_or_path, name)
    if (found := config["_class_name"]) not in classes:
        raise ValueError(f"{name_or_path} holds a {found}: expected a {' or '.join(classes)}.")
    return config


def frame_size(name_or_path: str | os.PathLike, subfolder: str | None = None) -> int | None:
    """Height and width of the frames that a local model takes; None if its processor does not say.

    Args:
        subfolder: with the processor; that of a pipeline is "processor".
    """
    folder = find_folder(name_or_path, subfolder)
    if folder is None or not (folder / PROCESSOR).is_file():
        return None
    settings = read_json(folder / PROCESSOR, f"The {PROCESSOR} of {name_or_path}")
    size = settings.get("size") if isinstance(settings, dict) else None
    height = size.get("height") if isinstance(size, dict) else size
    return height if type(height) is int else None


def model_parameters(class_name: str) -> dict[str, Any]:
    """The keyword arguments of a class in smoke_vq.models, and their defaults, read from its source."""
    classes = {
        node.name: node
        for path in _MODELS.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }

    def init_of(name: str) -> ast.FunctionDef:  # of its first base, if it has none
        functions = [item for item in classes[name].body if isinstance(item, ast.FunctionDef)]
        own = [function for function in functions if function.name == "__init__"]
        return own[0] if own else init_of(ast.unparse(classes[name].bases[0]))

    arguments = init_of(class_name).args
    names = [argument.arg for argument in arguments.args[1:]]
    return dict(zip(names, map(ast.literal_eval, arguments.defaults), strict=True))
