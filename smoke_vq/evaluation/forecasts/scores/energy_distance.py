"""How far the forecast's distribution of frames is from the true one."""

import math

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore


class EnergyDistance(ForecastScore):
    """Energy distance of two samples of frames (Székely and Rizzo, 2013, J. Stat. Plan. Inference 143).

    `2 E|X - Y| - E|X - X'| - E|Y - Y'|` for independent frames X, X' of the forecast and Y, Y' of the truth. |X - Y|
    is the root mean square difference of all pixels of a frame. It is 0 for equal distributions and positive
    otherwise; the estimate is unbiased and therefore may be slightly negative. A forecast of one member is taken as
    certain: its E|X - X'| is 0.
    """

    figures = (
        Figure("energy_distance", "energy distance", "lower", ".4f", meaning="to the true distribution of frames"),
    )
    needs_futures = True

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        members, futures = (frames.flatten(2).transpose(0, 1) for frames in (forecast.compared, forecast.futures))
        between = _distances(members, futures).mean(dim=(1, 2))
        return {"energy_distance": 2 * between - _within(members) - _within(futures)}


def _distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(T, S, N) and (T, M, N) to (T, S, M). Products of matrices would lose the distances of nearly equal frames."""
    distances = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    return distances / math.sqrt(first.shape[-1])


def _within(frames: torch.Tensor) -> torch.Tensor:
    """Mean distance of two different members, (T, S, N) to (T,)."""
    count = frames.shape[1]
    return _distances(frames, frames).sum(dim=(1, 2)) / max(1, count * (count - 1))
