"""Overlap of the smoke in the forecast with that in the truth."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore

VISIBLE = 0.1  # a pixel shows smoke where its brightness in [0, 1] is above this: -0.8 in [-1, 1]


class IoU(ForecastScore):
    """Intersection over union of the pixels that show smoke. Frames without smoke in both are left out."""

    figures = (
        Figure(
            "iou", "IoU of a member", "higher", ".3f", meaning="of the pixels brighter than -0.8, mean over members"
        ),
        Figure("iou_mean", "IoU of the mean", "higher", ".3f", meaning="the same for the mean of the members"),
    )

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        truth = forecast.true_light > VISIBLE
        members = _iou(forecast.light > VISIBLE, truth)
        return {"iou": members.nanmean(dim=0), "iou_mean": _iou(forecast.mean_light > VISIBLE, truth)}


def _iou(smoke: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(..., H, W) bool to (...); NaN where both are empty."""
    return (smoke & truth).sum(dim=(-2, -1)) / (smoke | truth).sum(dim=(-2, -1))
