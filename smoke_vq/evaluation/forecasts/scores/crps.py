"""Continuous ranked probability score of each pixel, without a penalty for few members."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore

# Of a row relative to another one, which `Results` computes.
CRPS_SKILL = Figure("crps_skill", "CRPS skill", "higher", ".3f", meaning="1 - CRPS / CRPS of repeating the last frame")


class CRPS(ForecastScore):
    """Fair CRPS (Ferro, 2014, Q. J. R. Meteorol. Soc. 140), mean over pixels and channels.

    `1/S sum_i |x_i - y| - 1/(2 S (S - 1)) sum_ij |x_i - x_j|` for the members x and the truth y. Its expectation does
    not depend on the number of members. For a single member it is the absolute error.
    """

    figures = (Figure("crps", "CRPS", "lower", ".4f", meaning="fair CRPS of a pixel; one member: absolute error"),)

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        members = forecast.members
        count = len(members)
        error = (members - forecast.truth).abs().mean(dim=(0, 2, 3, 4))
        between = torch.zeros_like(error)
        for first in range(count - 1):
            between += (members[first + 1 :] - members[first]).abs().mean(dim=(2, 3, 4)).sum(dim=0)
        return {"crps": error - between / max(1, count * (count - 1))}
