"""What a forecaster is tested on: observed frames and what followed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...pixels import to_pixel_values


@dataclass(frozen=True)
class ForecastCase:
    """One forecast to make. Frames are uint8.

    name: such as "seed 2000000000, start 16".
    group: equal for forecasts of one plume or clip, which are not independent of each other.
    past: (P, H, W, 3), the observed frames.
    futures: (M, T, H, W, 3). Member 0 is what happened; the others, if any, are as likely as it is.
    """

    name: str
    group: str
    past: np.ndarray
    futures: np.ndarray

    @property
    def num_frames(self) -> int:
        """Number of frames to predict, T."""
        return self.futures.shape[1]

    @property
    def past_values(self) -> torch.Tensor:
        """The observed frames as (P, 3, H, W) in [-1, 1]."""
        return to_pixel_values(torch.from_numpy(self.past))

    @property
    def future_values(self) -> torch.Tensor:
        """The futures as (M, T, 3, H, W) in [-1, 1]."""
        return to_pixel_values(torch.from_numpy(self.futures))


def check_cases(cases: Sequence[ForecastCase], name: str) -> Sequence[ForecastCase]:
    """Return the cases of a test set.

    Raises:
        ValueError: there are none, or frames, lengths or numbers of futures differ.
    """
    if not cases:
        raise ValueError(f"{name} has no forecast to make.")
    for case in cases:
        if case.past.shape[1:] != cases[0].past.shape[1:] or case.futures.shape[2:] != case.past.shape[1:]:
            sizes = sorted({"x".join(map(str, one.shape[-2:-4:-1])) for c in cases for one in (c.past, c.futures)})
            raise ValueError(f"{name} has frames of different sizes ({', '.join(sizes)}): expected one size.")
        if case.futures.shape[:2] != cases[0].futures.shape[:2]:
            raise ValueError(
                f"{case.name} of {name} has {case.futures.shape[0]} futures of {case.futures.shape[1]} frames, "
                f"{cases[0].name} has {cases[0].futures.shape[0]} of {cases[0].futures.shape[1]}: expected equal "
                f"numbers."
            )
    return cases
