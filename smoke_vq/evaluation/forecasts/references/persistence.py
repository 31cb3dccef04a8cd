"""Forecasts from the observed frames alone: the last one, and the mean of all."""

import torch

from ..cases import ForecastCase


def repeat(case: ForecastCase) -> torch.Tensor:
    """The last observed frame, again and again: (1, T, 3, H, W)."""
    return case.past_values[None, -1:].repeat(1, case.num_frames, 1, 1, 1)


def mean_of_past(case: ForecastCase) -> torch.Tensor:
    """The mean of all observed frames: (1, T, 3, H, W)."""
    return case.past_values.mean(dim=0)[None, None].repeat(1, case.num_frames, 1, 1, 1)
