"""Structural similarity of the members (Wang et al., 2004)."""

import torch

from ....metrics import Figure
from ....pixels import to_unit
from .base import Forecast, ForecastScore

_MARGIN = 5  # keep the 11x11 windows inside the frame, as Wang et al. and scikit-image do; torchmetrics pads


class SSIM(ForecastScore):
    """SSIM of frames in [0, 1], mean over the members.

    Args:
        max_members: measure at most this many of the members, the first ones.
    """

    figures = (Figure("ssim", "SSIM", "higher", ".4f", meaning="mean over members (Gaussian of 1.5 pixels)"),)

    def __init__(self, max_members: int | None = 4):
        self.max_members = max_members

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        from torchmetrics.functional.image import structural_similarity_index_measure

        members = forecast.members[: self.max_members]
        truth = forecast.truth.expand_as(members)
        _, ssim = structural_similarity_index_measure(
            to_unit(members.flatten(0, 1)),
            to_unit(truth.flatten(0, 1)),
            data_range=1.0,
            reduction="none",
            return_full_image=True,
        )
        ssim = ssim[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].mean(dim=(1, 2, 3))
        return {"ssim": ssim.unflatten(0, members.shape[:2]).mean(dim=0)}
