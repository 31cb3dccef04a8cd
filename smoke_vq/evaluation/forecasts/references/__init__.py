"""Forecasts to compare a forecaster with: limits that know the future, and references that need no training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..cases import ForecastCase
from ..row import Row
from .limits import ThroughCodes, perfect_ensemble, perfect_through_codes, through_codes, truth_through_codes
from .nearest_neighbours import NearestNeighbours
from .optical_flow import optical_flow
from .persistence import mean_of_past, repeat

__all__ = [
    "FLOW",
    "PERFECT",
    "REFERENCES",
    "REPEAT",
    "THROUGH_CODES",
    "NearestNeighbours",
    "Reference",
    "reference_rows",
    "through_codes",
]

PERFECT, THROUGH_CODES, FLOOR = "perfect ensemble", "perfect ensemble, through codes", "truth, through codes"
REPEAT, MEAN, FLOW = "repeat the last frame", "mean of the past", "optical flow"


@dataclass(frozen=True)
class Reference:
    """A line of the table.

    predict: makes one forecast, (S, T, 3, H, W) in [-1, 1], of a case; with `needs_codes`, also of a function that
        encodes and decodes frames (N, 3, H, W).
    is_limit: it knows the future.
    needs_futures: its members are the futures from 1 on.
    """

    predict: Callable[..., torch.Tensor]
    is_limit: bool = False
    needs_futures: bool = False
    needs_codes: bool = False


# The order is that of the table.
REFERENCES: dict[str, Reference] = {
    PERFECT: Reference(perfect_ensemble, is_limit=True, needs_futures=True),
    THROUGH_CODES: Reference(perfect_through_codes, is_limit=True, needs_futures=True, needs_codes=True),
    FLOOR: Reference(truth_through_codes, is_limit=True, needs_codes=True),
    REPEAT: Reference(repeat),
    MEAN: Reference(mean_of_past),
    FLOW: Reference(optical_flow),
}


def reference_rows(cases: Sequence[ForecastCase], encode_and_decode: ThroughCodes | None) -> list[Row]:
    """A row for each reference that can be computed.

    Args:
        cases: rows of the perfect ensemble need at least 2 futures besides what happened.
        encode_and_decode: frames (N, 3, H, W) in [-1, 1], as `through_codes` does; None leaves its rows out.
    """
    has_futures, rows = cases[0].futures.shape[0] > 2, []
    for name, reference in REFERENCES.items():
        if (reference.needs_futures and not has_futures) or (reference.needs_codes and encode_and_decode is None):
            continue
        predict = reference.predict
        if reference.needs_codes:
            predict = _with_codes(predict, encode_and_decode)
        kind = "limit" if reference.is_limit else "reference"
        rows.append(Row(name, predict, kind, reference.needs_futures))
    return rows


def _with_codes(predict: Callable, encode_and_decode: ThroughCodes) -> Callable[[ForecastCase], torch.Tensor]:
    return lambda case: predict(case, encode_and_decode)
