"""Scores of forecasts: each measures forecasts one by one, and makes its figures of the averages over all of them."""

from collections.abc import Iterable
from typing import Any

from ....metrics import Figure
from ....registry import choose
from .base import Forecast, ForecastScore
from .centre import Centre
from .crps import CRPS, CRPS_SKILL
from .energy_distance import EnergyDistance
from .front import Front
from .iou import IoU
from .lpips import ForecastLPIPS
from .mass import Mass
from .psnr import PSNR
from .rank_histogram import RankHistogram
from .spread_ratio import SpreadRatio
from .spread_skill import SpreadSkill
from .ssim import SSIM

__all__ = ["FORECAST_SCORES", "Forecast", "ForecastScore", "forecast_figure", "make_scores"]

# The order is that of tables.
FORECAST_SCORES: dict[str, type[ForecastScore]] = {
    "psnr": PSNR,
    "ssim": SSIM,
    "lpips": ForecastLPIPS,
    "iou": IoU,
    "mass": Mass,
    "front": Front,
    "centre": Centre,
    "crps": CRPS,
    "spread_skill": SpreadSkill,
    "rank_histogram": RankHistogram,
    "energy_distance": EnergyDistance,
    "spread_ratio": SpreadRatio,
}


def make_scores(names: Iterable[str], **options: dict[str, Any]) -> dict[str, ForecastScore]:
    """Create the scores of these names in `FORECAST_SCORES`, each one once.

    Args:
        options: keyword arguments of a score, by its name.

    Raises:
        ValueError: an unknown name.
    """
    return {name: choose(FORECAST_SCORES, name, "score")(**options.get(name, {})) for name in dict.fromkeys(names)}


def forecast_figure(name: str) -> Figure:
    """The figure of this name; one with a general format if no score in `FORECAST_SCORES` has it."""
    known = [*(figure for score in FORECAST_SCORES.values() for figure in score.figures), CRPS_SKILL]
    return next((figure for figure in known if figure.name == name), Figure(name, name))
