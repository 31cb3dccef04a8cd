"""A row of the table: a way to make forecasts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from .cases import ForecastCase


@dataclass(frozen=True)
class Row:
    """A way to make forecasts, by name.

    predict: makes one forecast, (S, T, 3, H, W) float32 in [-1, 1].
    kind: a limit, which knows the future; a reference, which any forecaster should beat; or a forecaster. The
        regression is the forecaster that makes no samples, and that the mean of another's samples is compared with.
    from_futures: whether the members are made of the futures from 1 on.
    """

    name: str
    predict: Callable[[ForecastCase], torch.Tensor]
    kind: Literal["limit", "reference", "regression", "forecaster"] = "forecaster"
    from_futures: bool = False
