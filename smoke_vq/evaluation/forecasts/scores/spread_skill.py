"""Whether the spread of an ensemble is as large as the error of its mean."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore


class SpreadSkill(ForecastScore):
    """Spread over skill, 1 for members that are exchangeable with the truth.

    `sqrt((S + 1) / S) sqrt(mean variance) / sqrt(mean squared error of the mean)`, with the unbiased variance of S
    members and means over pixels and forecasts (Fortin et al., 2014, J. Hydrometeorol. 15). Below 1, the forecast is
    too sure of itself.
    """

    figures = (
        Figure("spread_skill", "spread/skill", 1.0, ".2f", meaning="spread of members over error of their mean"),
    )
    min_members = 2

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        count = len(forecast.members)
        variance = forecast.members.var(dim=0, correction=1).mean(dim=(1, 2, 3))
        error = (forecast.mean - forecast.truth).square().mean(dim=(1, 2, 3))
        return {"variance": variance * (count + 1) / count, "error": error}

    def combine(self, means: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"spread_skill": (means["variance"] / means["error"]).sqrt()}
