"""Perceptual distance of the members (Zhang et al., 2018, arXiv:1801.03924)."""

import torch

from ....losses.perceptual import FeatureDistance
from ....metrics import Figure
from .base import Forecast, ForecastScore


class ForecastLPIPS(ForecastScore):
    """LPIPS between the members and the truth, mean over members.

    Args:
        network: `losses.LPIPS("alex")`, or another distance of features.
        max_members: measure at most this many of the members, the first ones: the network is slow.
    """

    figures = (Figure("lpips", "LPIPS", "lower", ".4f", meaning="mean over members, LPIPS 0.1 on AlexNet"),)

    def __init__(self, network: FeatureDistance, max_members: int | None = 4):
        self.network, self.max_members = network, max_members

    @torch.no_grad()
    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        target = self.network.features(forecast.truth)
        members = forecast.members[: self.max_members]
        distances = [self.network.distance(self.network.features(member), target) for member in members]
        return {"lpips": torch.stack(distances).mean(dim=0)}
