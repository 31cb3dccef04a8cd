"""How large the forecast's spread is relative to the true one, by frame and as a map."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore


class SpreadRatio(ForecastScore):
    """`sqrt(mean variance of the members / mean variance of the futures)`, with means over pixels and forecasts.

    The maps are variances of each pixel, mean over channels: (T, H, W).
    """

    figures = (
        Figure("spread_ratio", "spread ratio", 1.0, ".2f", meaning="spread of members over that of true futures"),
    )
    min_members = 2
    needs_futures = True
    maps = ("variance_map", "true_variance_map")

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        variance, true_variance = (
            frames.var(dim=0, correction=1).mean(dim=1) for frames in (forecast.compared, forecast.futures)
        )
        return {
            "variance": variance.mean(dim=(1, 2)),
            "true_variance": true_variance.mean(dim=(1, 2)),
            "variance_map": variance,
            "true_variance_map": true_variance,
        }

    def combine(self, means: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"spread_ratio": (means["variance"] / means["true_variance"]).sqrt()}
