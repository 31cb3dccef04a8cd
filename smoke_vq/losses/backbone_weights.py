"""ImageNet weights of the networks that perceptual losses look through: found, or one sentence that says where to look.

Never random ones, which would train a model on noise without a word.
"""

import os
import pickle
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..registry import choose

SECONDS_TO_REACH = 10


class Source(NamedTuple):
    variable: str  # environment variable with the path of a file
    url: str  # torchvision's IMAGENET1K_V1


SOURCES = {
    "alexnet": Source("SMOKE_VQ_ALEXNET", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
    "vgg16": Source("SMOKE_VQ_VGG16", "https://download.pytorch.org/models/vgg16-397923af.pth"),
}


def backbone_weights(net: str, path: str | os.PathLike | None = None) -> dict[str, torch.Tensor]:
    """The convolutions of torchvision's `net` in its names ("features.0.weight"), float32, from the first of these:
    `path`, the environment variable's file, torchvision's cache, torchvision's address.

    Args:
        net: a name in `SOURCES`.
        path: a safetensors file, or torchvision's .pth; half precision and no classifier will do.

    Raises:
        ValueError: the file lacks a weight, or has one of another shape, or is damaged.
        OSError: there is no such file; none was named, and there is none to be had.
    """
    source = choose(SOURCES, net, "backbone")
    path = path or os.environ.get(source.variable) or _cached(net, source)
    weights = _read(net, Path(path))
    expected = expected_shapes(net)
    for name, shape in expected.items():
        if name not in weights:
            raise ValueError(f"{path} does not hold torchvision's {net}: it lacks {name!r}.")
        if weights[name].shape != shape:
            raise ValueError(
                f"{path} does not hold torchvision's {net}: {name!r} has the shape {tuple(weights[name].shape)}, "
                f"expected {tuple(shape)}."
            )
    return {name: weights[name].to(torch.float32, copy=True) for name in expected}


def _read(net: str, path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r} with the weights of {net}: {_where_to_get(net)}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"The weights of {net} in {path} are damaged, or of a kind that we cannot read.") from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{path} does not hold torchvision's {net}: expected a dict of tensors.")
    return weights


def _cached(net: str, source: Source) -> Path:
    """torchvision's own copy, downloaded if need be."""
    path = Path(torch.hub.get_dir(), "checkpoints", source.url.rsplit("/", 1)[-1])
    if not path.is_file():
        try:
            _reach(source.url)
            path.parent.mkdir(parents=True, exist_ok=True)
            # The name ends in the first digits of the file's SHA-256.
            digest = path.stem.rsplit("-", 1)[-1]
            torch.hub.download_url_to_file(source.url, str(path), hash_prefix=digest)
        except (OSError, HTTPException, RuntimeError) as error:
            reason = getattr(error, "reason", error)
            raise OSError(
                f"The weights of {net} are not on this machine and cannot be downloaded ({reason}): "
                f"{_where_to_get(net)}."
            ) from error
    return path


def _reach(url: str) -> None:
    """Fail within seconds where there is no network: neither a name's look-up nor torch's download has a time limit."""
    failure: list[Exception] = [TimeoutError(f"no answer in {SECONDS_TO_REACH} seconds")]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS_TO_REACH).close()
            failure.clear()
        except (OSError, HTTPException) as error:
            failure[:] = [error]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS_TO_REACH)
    if failure:
        raise failure[0]


def _where_to_get(net: str) -> str:
    source = SOURCES[net]
    return (
        f"get {source.url}, and name the file with --{net}-weights (train_vqgan.py: --perceptual-weights) or in the "
        f"variable {source.variable}"
    )


def expected_shapes(net: str) -> dict[str, torch.Size]:
    import torchvision

    with torch.device("meta"):
        network = getattr(torchvision.models, net)(weights=None)
    return {name: value.shape for name, value in network.state_dict().items() if name.startswith("features.")}
