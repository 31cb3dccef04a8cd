"""Error of the amount of smoke."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore


class Mass(ForecastScore):
    """`|m' - m| / m` for the mean brightness m of a frame in [0, 1]. Black frames are left out."""

    figures = (
        Figure("mass_error", "mass error of a member", "lower", ".3f", meaning="relative error of the mean brightness"),
        Figure("mass_error_mean", "mass error of the mean", "lower", ".3f", meaning="the same for the mean of members"),
    )

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        mass = forecast.true_light.mean(dim=(-2, -1))
        mass = torch.where(mass > 0, mass, torch.nan)
        errors = {"mass_error": forecast.light, "mass_error_mean": forecast.mean_light[None]}
        return {name: ((light.mean(dim=(-2, -1)) - mass).abs() / mass).mean(dim=0) for name, light in errors.items()}
