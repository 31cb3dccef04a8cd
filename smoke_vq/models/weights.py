"""The files with the weights of a saved model, compared with its configuration before either is given memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from ..downloads.errors import first_line
from ..layout import CONFIG, WEIGHTS
from ..limits import MAX_WEIGHTS_FILES, check_safetensors, read_json

_MODULES_PER_WEIGHT = 10  # at most, and a few more: the models of this library have about 2


def weights_files(folder: Path, name: str, variant: str | None = None) -> list[Path]:
    """The files that `from_pretrained` reads weights from: the index and its shards, or one file.

    Args:
        name: what the user wrote, for error messages.

    Raises:
        ValueError: the index is damaged, or names too many files, other files than safetensors, or files elsewhere.
        FileNotFoundError: a file is missing.
    """
    ending = "" if variant is None else f".{variant}"
    index = folder / f"{WEIGHTS}.index{ending}.json"
    if not index.is_file():
        return [folder / f"{WEIGHTS.removesuffix('.safetensors')}{ending}.safetensors"]
    content = read_json(index, f"{index.name} of {name}")
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise ValueError(f"{index.name} of {name} is damaged: expected a weight_map of names to files.")
    files = sorted(set(names.values()))
    if len(files) > MAX_WEIGHTS_FILES:
        raise ValueError(f"{index.name} of {name} names {len(files)} files: expected at most {MAX_WEIGHTS_FILES}.")
    for file in files:
        if not file.endswith(".safetensors"):
            raise ValueError(f"{index.name} of {name} names {file}: expected safetensors only.")
        if Path(file).name != file or "\\" in file:
            raise ValueError(f"{index.name} of {name} names {file!r}: expected files in the same folder.")
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{name} is incomplete: it does not hold {file}, which its index names.")
    return [index, *(folder / file for file in files)]


def check_weights(model_class: type[nn.Module], config: dict[str, Any], files: list[Path], name: str) -> None:
    """Refuse weights that are not those of a model with this configuration. Only headers are read.

    Args:
        config: what the constructor of `model_class` takes.
        files: from `weights_files`.

    Raises:
        ValueError: the configuration is not valid, or far larger than the weights; the weights are damaged, or some are
            missing, unknown or of another shape.
    """
    found = _stored_shapes([path for path in files if path.suffix == ".safetensors"], name)
    try:
        with torch.device("meta"), _at_most(_MODULES_PER_WEIGHT * len(found) + 100):  # no memory
            model = model_class(**config)
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
        raise ValueError(f"The {CONFIG} of {name} does not fit {model_class.__name__}: {first_line(error)}") from error
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    for kind, keys in (("missing", expected.keys() - found.keys()), ("unknown", found.keys() - expected.keys())):
        if keys:
            raise ValueError(
                f"The weights in {name} do not fit {model_class.__name__}: {len(keys)} weight(s) are {kind}, the first "
                f"is {min(keys)!r}."
            )
    other = sorted(key for key in expected if expected[key] != found[key])
    if other:
        shapes = f"expected {list(expected[other[0]])}, found {list(found[other[0]])}"
        raise ValueError(f"The weights in {name} do not fit its {CONFIG}: size mismatch for {other[0]} ({shapes}).")


def check_finite(model: nn.Module, name: str) -> None:
    """Refuse a model with a weight that is NaN or infinite; weights without memory are not read.

    Raises:
        ValueError: names the first such weight.
    """
    for key, tensor in model.state_dict().items():
        has_values = tensor.is_floating_point() and tensor.numel() and tensor.device.type != "meta"
        if has_values and not torch.stack(tensor.aminmax()).isfinite().all():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"The weights in {name} are not finite: {key!r} holds NaN or infinity, as {kind}.")


def _stored_shapes(files: list[Path], name: str) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for path in files:
        try:
            check_safetensors(path)
            with safe_open(path, "pt") as file:
                shapes |= {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"The weights in {name} are damaged: {path}, {first_line(error)}") from error
    return shapes


@contextmanager
def _at_most(limit: int) -> Iterator[None]:
    """Stop, with a ValueError, the construction of more than `limit` modules by this thread."""
    thread, count = threading.get_ident(), 0

    def count_module(module: nn.Module, name: str, submodule: nn.Module | None) -> None:
        nonlocal count
        if threading.get_ident() == thread:
            count += 1
            if count > limit:
                raise ValueError("it describes a model of far more layers than there are weights.")

    handle = register_module_module_registration_hook(count_module)
    try:
        yield
    finally:
        handle.remove()
