"""Perceptual distances: images compared by what a network trained on ImageNet sees in them (Zhang et al., 2018).

lpips and torchvision are imported where a loss is built: they are slow to import.
"""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..pixels import DATA_RANGE, from_unit
from ..registry import choose
from .backbone_weights import backbone_weights
from .precision import at_least_float32

# ImageNet's, for pixels in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# lpips' name -> torchvision's name, and the smallest image that reaches the last layer.
LPIPS_BACKBONES = {"alex": ("alexnet", 31), "vgg": ("vgg16", 16)}


class FeatureDistance(nn.Module):
    """Distance between the features of two images, each position's vector scaled to length 1 (arXiv:1801.03924, eq. 1).

    The network is frozen and stays in eval mode whatever `train()` says; gradients reach the images. Its convolutions
    run in the precision of autocast, all else in float32. Images are (B, 3, H, W) in [-1, 1].

    Args:
        slices: parts of the network, each going on from the output of the one before.
        channel_weights: for each slice (1, C, 1, 1) that weighs the squared differences of its C channels, or a number
            for all.
        min_size: the smallest H and W that works.
    """

    def __init__(self, slices: list[nn.Module], channel_weights: list[torch.Tensor | float], min_size: int):
        super().__init__()
        self.slices = nn.ModuleList(slices)
        for layer, weights in enumerate(channel_weights):
            self.register_buffer(f"channel_weights_{layer}", torch.as_tensor(weights))
        self.min_size = min_size
        self.register_buffer("mean", from_unit(torch.tensor(MEAN).view(1, 3, 1, 1)))
        self.register_buffer("std", DATA_RANGE * torch.tensor(STD).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True):
        return super().train(False)

    def features(self, sample: torch.Tensor) -> list[torch.Tensor]:
        """The output of each slice, (B, C, h, w): those of a target can be had once, without gradient."""
        if sample.ndim != 4 or sample.shape[1] != 3 or min(sample.shape[2:]) < self.min_size:
            raise ValueError(
                f"The perceptual loss expects images of shape (B, 3, H, W) with H and W of {self.min_size} or more, "
                f"found {tuple(sample.shape)}."
            )
        hidden = (at_least_float32(sample) - self.mean) / self.std
        features = []
        for part in self.slices:
            hidden = part(hidden)
            features.append(hidden)
        return features

    def distance(self, features: list[torch.Tensor], target_features: list[torch.Tensor]) -> torch.Tensor:
        """The distances (B,) of images with these `features`."""
        total = 0
        for layer, (found, target) in enumerate(zip(features, target_features, strict=True)):
            difference = _unit(at_least_float32(found)) - _unit(at_least_float32(target))
            weights = getattr(self, f"channel_weights_{layer}")
            total = total + (weights * difference.square()).sum(dim=1).mean(dim=(1, 2))
        return total

    def forward(self, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the distance (B,) of each pair of images: 0 where they are equal."""
        return self.distance(self.features(sample), self.features(target))


class PerceptualLoss(FeatureDistance):
    """The mean over VGG16's relu1_2, relu2_2, relu3_3 and relu4_3; every channel weighs the same.

    Args:
        weights: a file of torchvision's VGG16; by default it is looked for (see `backbone_weights`).
    """

    def __init__(self, weights: str | os.PathLike | None = None):
        super().__init__(_slices("vgg16", weights)[:4], [0.25] * 4, min_size=8)


class LPIPS(FeatureDistance):
    """LPIPS 0.1: five layers, with the channel weights that were fitted to people's judgement and come with `lpips`.

    Args:
        net: "alex", the usual metric, or "vgg", the usual loss.
        weights: a file of torchvision's network; by default it is looked for (see `backbone_weights`).
    """

    def __init__(self, net: str = "alex", weights: str | os.PathLike | None = None):
        backbone, min_size = choose(LPIPS_BACKBONES, net, "LPIPS network")
        import lpips

        path = Path(lpips.__file__).with_name("weights") / "v0.1" / f"{net}.pth"
        heads = torch.load(path, map_location="cpu", weights_only=True)
        heads = [heads[f"lin{layer}.model.1.weight"] for layer in range(5)]
        super().__init__(_slices(backbone, weights), heads, min_size)


PERCEPTUAL_LOSSES: dict[str, Callable[..., FeatureDistance]] = {
    "vgg16": PerceptualLoss,
    "lpips_vgg": partial(LPIPS, "vgg"),
    "lpips_alex": partial(LPIPS, "alex"),
}


def _unit(features: torch.Tensor) -> torch.Tensor:
    # vector_norm, unlike the root of a sum of squares, has a gradient where all channels are 0.
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


def _slices(backbone: str, path: str | os.PathLike | None) -> list[nn.Module]:
    """The five parts of the network after each of which LPIPS looks."""
    weights = backbone_weights(backbone, path)
    from lpips import pretrained_networks

    # On the meta device the classifier, most of the network, costs nothing; torchvision warns of lpips' keyword.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(pretrained_networks, backbone)(pretrained=False)
    # lpips' names are those of torchvision with "slice3" for "features".
    state = {name: weights[f"features.{name.split('.', 1)[1]}"] for name in network.state_dict()}
    network.load_state_dict(state, assign=True)
    return [getattr(network, f"slice{number}") for number in range(1, 6)]
