"""Where the truth ranks among the members (Hamill, 2001, Mon. Weather Rev. 129)."""

import torch

from ....metrics import Figure
from .base import Forecast, ForecastScore
from .iou import VISIBLE


class RankHistogram(ForecastScore):
    """Ranks of the truth's brightness among the members' in pixels where the truth or a member shows smoke.

    All ranks from 0 to S are equally frequent for members that are exchangeable with the truth. A U shape means too
    little spread, a hump too much, and a slope a bias. Ties are broken at random, with a fixed seed.
    """

    figures = (
        Figure("outliers", "outliers", 1.0, ".2f", meaning="pixels outside the ensemble, relative to 2 / (S + 1)"),
    )
    min_members = 2

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        members, truth = forecast.light, forecast.true_light
        smoke = (truth > VISIBLE) | (members > VISIBLE).any(dim=0)
        below, equal = (members < truth).sum(dim=0), (members == truth).sum(dim=0)
        drawn = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)).to(truth.device)
        ranks = below + (drawn * (equal + 1)).long()
        counts = [
            torch.bincount(rank[mask], minlength=len(members) + 1) for rank, mask in zip(ranks, smoke, strict=True)
        ]
        return {"counts": torch.stack(counts).float()}

    def combine(self, means: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        counts = means["counts"]
        share = (counts[..., 0] + counts[..., -1]) / counts.sum(dim=-1)
        return {"outliers": share * counts.shape[-1] / 2}
