"""Error of the place of the smoke."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore


class Centre(ForecastScore):
    """Distance between the centres of mass of the brightness. A black frame has its centre in the middle."""

    figures = (
        Figure(
            "centre_error", "centre error", "lower", ".4f", meaning="distance of centres of mass, share of the frame"
        ),
    )

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        distance = torch.linalg.vector_norm(centre(forecast.light) - centre(forecast.true_light), dim=-1)
        return {"centre_error": distance.mean(dim=0)}


def centre(light: torch.Tensor) -> torch.Tensor:
    """(..., H, W) brightness in [0, 1] to (..., 2): down and right of the middle, in shares of the frame's size."""
    mass = light.sum(dim=(-2, -1)).clamp(min=1e-6)
    down, right = (
        torch.arange(size, device=light.device) / size - (size - 1) / (2 * size) for size in light.shape[-2:]
    )
    moments = [(light.sum(dim=-1) * down).sum(dim=-1), (light.sum(dim=-2) * right).sum(dim=-1)]
    return torch.stack(moments, dim=-1) / mass[..., None]
