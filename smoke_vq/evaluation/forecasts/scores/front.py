"""Error of the height that the smoke has reached."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore

_SHARE = 0.98  # a few bright pixels above the plume do not make a front


class Front(ForecastScore):
    """Difference of the heights of the front: the lowest height below which 98 % of a frame's brightness lies.

    Heights are in shares of the frame's height, from 0 at the bottom to 1 at the top; a black frame has the front at 0.
    """

    figures = (Figure("front_error", "front error", "lower", ".4f", meaning="height of the front, share of the frame"),)

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        return {"front_error": (front(forecast.light) - front(forecast.true_light)).abs().mean(dim=0)}


def front(light: torch.Tensor) -> torch.Tensor:
    """(..., H, W) brightness in [0, 1] to the height of the front (...), interpolated within a row."""
    rows = light.double().sum(dim=-1).flip(-1)  # from the bottom
    below = rows.cumsum(dim=-1)
    needed = _SHARE * below[..., -1:]
    full = (below < needed).sum(dim=-1, keepdim=True).clamp(max=rows.shape[-1] - 1)  # rows below the front
    missing = needed - (below - rows).gather(-1, full)
    part = missing / rows.gather(-1, full).clamp(min=1e-12)
    return ((full + part) / rows.shape[-1])[..., 0]
