"""Perceptual distances: images compared by the features of a network trained on ImageNet (Zhang et al., 2018).

lpips and torchvision are imported when a loss is created, because their import is slow.
"""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..pixels import DATA_RANGE, from_unit, to_rgb
from ..registry import choose
from .backbone_weights import backbone_weights
from .precision import at_least_float32

# Mean and standard deviation of ImageNet, for pixels in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# lpips' name -> torchvision's name, and the smallest image that reaches the last layer.
LPIPS_BACKBONES = {"alex": ("alexnet", 31), "vgg": ("vgg16", 16)}


class FeatureDistance(nn.Module):
    """Distance between features of two images, scaled to length 1 at each position (arXiv:1801.03924, eq. 1).

    The network is frozen and always in eval mode; gradients flow to the images. Its convolutions run in the precision
    of autocast, everything else in float32. Images are (B, 3, H, W) in [-1, 1].

    Args:
        slices: parts of the network; each takes the output of the previous one.
        channel_weights: for each slice, the weights (1, C, 1, 1) of the squared differences of its C channels, or one
            number for all channels.
        min_size: smallest H and W that the network accepts.
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
        """The output of each slice, (B, C, h, w), for RGB or grey images.

        Raises:
            ValueError: images of another shape, or smaller than `min_size`.
        """
        if sample.ndim != 4 or sample.shape[1] not in (1, 3) or min(sample.shape[2:]) < self.min_size:
            raise ValueError(
                f"The perceptual loss expects images of shape (B, 3, H, W) with H and W of {self.min_size} or more, "
                f"found {tuple(sample.shape)}."
            )
        hidden = (to_rgb(at_least_float32(sample)) - self.mean) / self.std
        features = []
        for part in self.slices:
            hidden = part(hidden)
            features.append(hidden)
        return features

    def distance(self, features: list[torch.Tensor], target_features: list[torch.Tensor]) -> torch.Tensor:
        """The distance of each pair of images, (B,), from their `features`."""
        total = 0
        for layer, (found, target) in enumerate(zip(features, target_features, strict=True)):
            difference = _unit(at_least_float32(found)) - _unit(at_least_float32(target))
            weights = getattr(self, f"channel_weights_{layer}")
            total = total + (weights * difference.square()).sum(dim=1).mean(dim=(1, 2))
        return total

    def forward(self, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The distance of each pair of images, (B,); 0 for equal images."""
        return self.distance(self.features(sample), self.features(target))


class PerceptualLoss(FeatureDistance):
    """Mean of the distances at VGG16's relu1_2, relu2_2, relu3_3 and relu4_3, with equal weights for all channels.

    Args:
        weights: file of torchvision's VGG16; for the default see `backbone_weights`.
    """

    def __init__(self, weights: str | os.PathLike | None = None):
        super().__init__(_slices("vgg16", weights)[:4], [0.25] * 4, min_size=8)


class LPIPS(FeatureDistance):
    """LPIPS 0.1: five layers, with the channel weights of the package `lpips`, fitted to human judgement.

    Args:
        net: "alex", usual as a metric, or "vgg", usual as a loss.
        weights: file of torchvision's network; for the default see `backbone_weights`.
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
    # Unlike the root of a sum of squares, vector_norm has a finite gradient where all channels are 0.
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


def _slices(backbone: str, path: str | os.PathLike | None) -> list[nn.Module]:
    """The network in five parts, each of which ends at a layer of LPIPS."""
    weights = backbone_weights(backbone, path)
    from lpips import pretrained_networks

    # On the meta device the unused classifier takes no memory. torchvision warns about the keyword that lpips passes.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(pretrained_networks, backbone)(pretrained=False)
    # lpips' names are torchvision's with "slice3" instead of "features".
    state = {name: weights[f"features.{name.split('.', 1)[1]}"] for name in network.state_dict()}
    network.load_state_dict(state, assign=True)
    return [getattr(network, f"slice{number}") for number in range(1, 6)]
