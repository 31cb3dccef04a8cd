"""Forecasts that know the future: the best that any forecaster, or any forecaster through codes, can do."""

from collections.abc import Callable

import torch

from ..cases import ForecastCase

ThroughCodes = Callable[[torch.Tensor], torch.Tensor]


def perfect_ensemble(case: ForecastCase) -> torch.Tensor:
    """The futures from 1 on as a forecast of what happened: (M - 1, T, 3, H, W)."""
    return case.future_values[1:]


def perfect_through_codes(case: ForecastCase, through_codes: ThroughCodes) -> torch.Tensor:
    """The perfect ensemble, encoded and decoded."""
    members = perfect_ensemble(case)
    return through_codes(members.flatten(0, 1)).unflatten(0, members.shape[:2])


def truth_through_codes(case: ForecastCase, through_codes: ThroughCodes) -> torch.Tensor:
    """What happened, encoded and decoded: (1, T, 3, H, W)."""
    return through_codes(case.future_values[0])[None]
