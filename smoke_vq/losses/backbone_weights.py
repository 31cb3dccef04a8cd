"""ImageNet weights of the networks of perceptual losses, from a file or from torchvision's download.

Missing weights are an error that says where to get them. They are never replaced by random weights.
"""

import os
import pickle
import socket
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..registry import choose

# The environment variable with the path of the weights file, by network.
VARIABLES = {"alexnet": "SMOKE_VQ_ALEXNET", "vgg16": "SMOKE_VQ_VGG16"}
_SECONDS_WITHOUT_ANSWER = 20


def backbone_weights(net: str, path: str | os.PathLike | None = None) -> dict[str, torch.Tensor]:
    """The convolutions of torchvision's `net` by its names ("features.0.weight"), float32.

    Taken from the first of: `path`, the file in the environment variable, torchvision's cache, torchvision's download.

    Args:
        net: a name in `VARIABLES`.
        path: a safetensors file or torchvision's .pth, in any precision, with or without the classifier.

    Raises:
        ValueError: a weight is missing or has another shape, or the file is damaged.
        OSError: the file does not exist, or no file is given and the download failed.
    """
    path = path or os.environ.get(choose(VARIABLES, net, "backbone"))
    weights, origin = (_download(net), "torchvision's download") if path is None else (_read(net, Path(path)), path)
    expected = expected_shapes(net)
    for name, shape in expected.items():
        if name not in weights:
            raise ValueError(f"{origin} does not hold torchvision's {net}: {name!r} is missing.")
        if weights[name].shape != shape:
            raise ValueError(
                f"{origin} does not hold torchvision's {net}: {name!r} has the shape {tuple(weights[name].shape)}, "
                f"expected {tuple(shape)}."
            )
    return {name: weights[name].to(torch.float32, copy=True) for name in expected}


def expected_shapes(net: str) -> dict[str, torch.Size]:
    """Shapes of the convolutions' weights and biases, by name."""
    import torchvision

    with torch.device("meta"):
        network = torchvision.models.get_model(net)
    return {name: value.shape for name, value in network.state_dict().items() if name.startswith("features.")}


def _read(net: str, path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"The file {str(path)!r} with the weights of {net} does not exist: {_advice(net)}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"The weights of {net} in {path} are damaged or of an unknown format.") from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{path} does not hold torchvision's {net}: expected a dict of tensors.")
    return weights


def _download(net: str) -> dict[str, torch.Tensor]:
    """torchvision's weights, from its cache or its server, checked against the hash in their name."""
    try:
        with _socket_timeout(_SECONDS_WITHOUT_ANSWER):
            return _torchvision(net).get_state_dict(check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, HTTPException) as error:
        raise OSError(
            f"The weights of {net} are not on this machine and cannot be downloaded "
            f"({getattr(error, 'reason', error)}): {_advice(net)}."
        ) from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"The weights of {net} in {torch.hub.get_dir()}/checkpoints are damaged: delete them, or {_advice(net)}."
        ) from error


def _torchvision(net: str):
    import torchvision

    return torchvision.models.get_model_weights(net).IMAGENET1K_V1


@contextmanager
def _socket_timeout(seconds: float):
    """A timeout for torch.hub, which has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _advice(net: str) -> str:
    return (
        f"download {_torchvision(net).url}, and pass the file with --{net}-weights (train_vqgan.py: "
        f"--perceptual-weights) or the environment variable {VARIABLES[net]}"
    )
