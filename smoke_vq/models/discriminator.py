"""PatchGAN (Isola et al., 2017, arXiv:1611.07004, section 3.2.2): classifies patches as real or reconstructed."""

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it beside its models)
from torch import nn

from ..checks import check_count
from ..layout import DISCRIMINATOR
from ..registry import choose
from ..tensors import check_maps
from .encoder import norm_groups
from .pretrained import PretrainedModel

KERNEL_SIZE = 4
MAX_LAYERS = 16  # images are at least 3 * 2 ** num_layers pixels wide

NORMS = {
    "group": lambda channels: [nn.GroupNorm(norm_groups(channels), channels)],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "none": lambda channels: [],
}


class PatchDiscriminator(PretrainedModel):
    """One logit for each overlapping patch of an image, above 0 for "real".

    `num_layers` convolutions of stride 2, then two of stride 1; the last one returns the logits, without a sigmoid.
    4x4 kernels, LeakyReLU. The defaults are the 70x70 PatchGAN of the paper, with 6x6 logits for 64x64 pixels.

    Args:
        base_channels: channels after the first convolution; each further one doubles them, up to a factor of 8.
        num_layers: convolutions of stride 2.
        norm: after each convolution except the first and the last. "group" normalizes each image separately, so that
            logits do not depend on the batch or the number of processes; "batch" is the choice of pix2pix.

    Raises:
        ValueError: invalid sizes.
    """

    published_subfolder = DISCRIMINATOR

    @register_to_config
    def __init__(self, in_channels: int = 3, base_channels: int = 64, num_layers: int = 3, norm: str = "group"):
        super().__init__()
        for name, value in (("in_channels", in_channels), ("base_channels", base_channels), ("num_layers", num_layers)):
            check_count(name, value)
        if num_layers > MAX_LAYERS:
            raise ValueError(f"num_layers expects at most {MAX_LAYERS}, found {num_layers}.")
        make_norm = choose(NORMS, norm, "norm")
        self.strides = (*[2] * num_layers, 1, 1)
        channels = [base_channels * min(2**layer, 8) for layer in range(num_layers + 1)]
        layers = [nn.Conv2d(in_channels, channels[0], KERNEL_SIZE, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for layer in range(1, num_layers + 1):
            before, after = channels[layer - 1 : layer + 1]
            stride = self.strides[layer]
            # A norm has its own bias.
            layers.append(nn.Conv2d(before, after, KERNEL_SIZE, stride, padding=1, bias=norm == "none"))
            layers += [*make_norm(after), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(channels[-1], 1, KERNEL_SIZE, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)
        self.layers.apply(_initialize)

    @property
    def receptive_field(self) -> int:
        """Height and width, in pixels, of the patch that a logit depends on."""
        size = 1
        for stride in reversed(self.strides):
            size = (size - 1) * stride + KERNEL_SIZE
        return size

    def logits_size(self, size: int) -> int:
        """Height of the logits of images `size` pixels high; likewise for widths.

        Raises:
            ValueError: the images are too small for this number of layers.
        """
        logits = size
        for stride in self.strides:
            logits = (logits + 2 - KERNEL_SIZE) // stride + 1
        if logits < 1:
            layers = self.config.num_layers
            raise ValueError(
                f"Images of {size} pixels are too small for a discriminator with num_layers={layers}: expected "
                f"{3 * 2**layers} or more."
            )
        return logits

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 1, h, w) of `sample` (B, C, H, W) in [-1, 1]."""
        check_maps(sample, "a sample", self.config.in_channels, "H, W")
        self.logits_size(min(sample.shape[2:]))
        return self.layers(sample)


def _initialize(module: nn.Module) -> None:
    """Initialize as pix2pix does."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.GroupNorm | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if getattr(module, "bias", None) is not None:
        nn.init.zeros_(module.bias)
