"""Errors of saturation and hue in the colour space CIELAB."""

import math

import torch

from ..float64 import to_float64
from ..pixels import clamp, to_unit
from .figure import Figure
from .metric import Batch, Metric

# sRGB (IEC 61966-2-1) to XYZ, relative to the white point D65 of the 2 degree observer.
_WHITE = (0.95047, 1.0, 1.08883)
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_LINEAR_BELOW = 0.008856  # of the cube root in CIELAB


class ColourError(Metric):
    """Errors of chroma C = sqrt(a^2 + b^2) and hue angle h = atan2(b, a) in CIELAB, over smoke.

    - `saturation_error`: mean of `|C' - C|` over pixels, weighted by the mask, in units of CIELAB (white has L = 100);
    - `hue_error`: mean of the angle between h' and h in degrees, weighted by the mask and by `sqrt(C' C)`, as in the
      hue difference of CIELAB: grey has no hue, and losing all colour counts as an error of saturation only.

    A figure whose weights are all zero (no smoke, or no colour) is left out, and so are both if the mask is unknown or
    the frames are grey.
    """

    figures = (
        Figure("saturation_error", "saturation error", "lower", ".3f", meaning="difference of CIELAB chroma on smoke"),
        Figure("hue_error", "hue error", "lower", ".2f", "degrees", "difference of CIELAB hue, weighted by chroma"),
    )

    def update(self, batch: Batch) -> None:
        if batch.mask is None or batch.target.shape[1] != 3:
            return
        colours = [to_lab(to_unit(clamp(pixels.float())))[:, 1:] for pixels in (batch.sample, batch.target)]
        (a, b), (true_a, true_b) = (colour.unbind(dim=1) for colour in colours)
        chroma, true_chroma = (colour.norm(dim=1) for colour in colours)
        mask = batch.mask[:, 0].float()
        angle = torch.atan2(a * true_b - b * true_a, a * true_a + b * true_b).abs()
        weight = mask * (chroma * true_chroma).sqrt()
        self.add("saturation_error", to_float64(mask * (chroma - true_chroma).abs()).sum())
        self.add("saturation_weight", to_float64(mask).sum())
        self.add("hue_error", to_float64(weight * angle).sum() * (180 / math.pi))
        self.add("hue_weight", to_float64(weight).sum())

    def compute(self) -> dict[str, float]:
        return {
            f"{name}_error": float(self.sums[f"{name}_error"] / self.sums[f"{name}_weight"])
            for name in ("saturation", "hue")
            if self.sums and self.sums[f"{name}_weight"] > 0
        }


def to_lab(images: torch.Tensor) -> torch.Tensor:
    """sRGB to CIELAB: (B, 3, H, W) in [0, 1] to (B, 3, H, W), L in [0, 100], a and b around -100 to 100."""
    linear = torch.where(images > 0.04045, ((images + 0.055) / 1.055).clamp(min=0) ** 2.4, images / 12.92)
    matrix = images.new_tensor(_TO_XYZ) / images.new_tensor(_WHITE)[:, None]
    xyz = torch.einsum("dc,bchw->bdhw", matrix, linear)
    root = torch.where(xyz > _LINEAR_BELOW, xyz.clamp(min=_LINEAR_BELOW) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
