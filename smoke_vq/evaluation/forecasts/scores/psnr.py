"""Peak signal-to-noise ratio of the members and of their mean."""

import torch

from ....metrics import Figure
from ....pixels import DATA_RANGE
from .base import Forecast, ForecastScore

_SMALLEST_MSE = 1e-10  # limits the PSNR of a perfect frame to 106 dB, as `metrics.ImageQuality` does


class PSNR(ForecastScore):
    """10 log10(4 / mse) of each frame. The mean of many members is blurred, which a squared error rewards."""

    figures = (
        Figure(
            "psnr", "PSNR of a member", "higher", ".2f", "dB", "mean over members and forecasts of 10 log10(4 / mse)"
        ),
        Figure("psnr_mean", "PSNR of the mean", "higher", ".2f", "dB", "the same for the mean of the members"),
    )

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        return {
            "psnr": _psnr(forecast.members, forecast.truth).mean(dim=0),
            "psnr_mean": _psnr(forecast.mean, forecast.truth),
        }


def _psnr(frames: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W) to (...)."""
    mse = (frames - truth).square().mean(dim=(-3, -2, -1))
    return 10 * torch.log10(DATA_RANGE**2 / mse.clamp(min=_SMALLEST_MSE))
