"""Intervals of figures by drawing plumes again, with replacement (Efron, 1979, Ann. Stat. 7)."""

from collections.abc import Sequence

import torch

LEVEL = 0.95


def draws(groups: Sequence[str], count: int, seed: int = 0) -> torch.Tensor:
    """How often each forecast is in each of `count` samples: (count, N) float64.

    Whole groups are drawn, because forecasts of one plume are not independent. The same draws for two rows make the
    difference between them paired.

    Args:
        groups: (N,) the plume of each forecast.
    """
    names = list(dict.fromkeys(groups))
    member = torch.tensor([names.index(group) for group in groups])
    drawn = torch.randint(len(names), (count, len(names)), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(count, len(names), dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    return times[:, member]


def weighted_means(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Means over forecasts, (N, ...) and (R, N) to (R, ...). NaN is left out; NaN where nothing is left."""
    known = values.isfinite().to(weights.dtype)
    return torch.tensordot(weights, values.nan_to_num(0.0), 1) / torch.tensordot(weights, known, 1)


def interval(values: torch.Tensor) -> torch.Tensor:
    """Percentile interval of the draws, (R, ...) to (2, ...)."""
    edges = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=values.dtype)
    return values.nanquantile(edges, dim=0)
