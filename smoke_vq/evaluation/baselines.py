"""Reconstructions without training: black frames, bicubic upsampling, and image codecs at their smallest setting."""

import torch

from ..pixels import BLACK
from .codecs import jpeg, thumbnail, webp
from .reconstruction import Reconstruction

_BICUBIC_SIZE = 8


def black(target: torch.Tensor) -> Reconstruction:
    """Black frames, without smoke."""
    return Reconstruction(torch.full_like(target, BLACK), torch.zeros(len(target), device=target.device))


def bicubic(target: torch.Tensor) -> Reconstruction:
    """Area-averaged to 8x8x3, upsampled bicubically.

    With 8 bits per value this is 1,536 bits (192 bytes) per frame; 8x8 codes out of 1,024 are 640 (80 bytes).
    """
    return thumbnail(target, _BICUBIC_SIZE)


BASELINES = {"black": black, "bicubic 8x8": bicubic, "WebP": webp, "JPEG": jpeg}
