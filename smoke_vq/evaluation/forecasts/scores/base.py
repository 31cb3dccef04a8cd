"""The base class of forecast scores, and the forecasts that they receive."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch

from ....metrics import Figure
from ....pixels import to_unit


@dataclass(frozen=True)
class Forecast:
    """A forecast of T frames with what happened. Frames are float32 in [-1, 1].

    members: (S, T, C, H, W), the forecast's samples; S is 1 for a forecast without uncertainty.
    truth: (T, C, H, W), what happened.
    futures: (M, T, C, H, W), samples of the true distribution of futures, or None if it is unknown.
    num_compared: how many of the first members are independent of `futures` and are compared with them; all by default.
    """

    members: torch.Tensor
    truth: torch.Tensor
    futures: torch.Tensor | None = None
    num_compared: int | None = None

    @cached_property
    def mean(self) -> torch.Tensor:
        """The mean of the members, (T, C, H, W)."""
        return self.members.mean(dim=0)

    @property
    def compared(self) -> torch.Tensor:
        """The members to compare with `futures`."""
        return self.members[: self.num_compared]

    @cached_property
    def light(self) -> torch.Tensor:
        """Brightness of the members, the mean of the channels in [0, 1]: (S, T, H, W)."""
        return to_unit(self.members.mean(dim=2))

    @cached_property
    def true_light(self) -> torch.Tensor:
        """Brightness of the truth, (T, H, W)."""
        return to_unit(self.truth.mean(dim=1))

    @cached_property
    def mean_light(self) -> torch.Tensor:
        """Brightness of the mean of the members, (T, H, W)."""
        return self.light.mean(dim=0)


class ForecastScore:
    """Base class of all scores of forecasts.

    `measure` gives numbers of one forecast, frame by frame. They are averaged over forecasts (NaN is left out), and
    `combine` makes figures of the averages, so that a ratio is one of averages and an interval can be found by drawing
    forecasts again (see `bootstrap`).

    figures: what `combine` returns.
    min_members: the smallest ensemble that the score is defined for.
    needs_futures: whether it compares with the true distribution.
    maps: results of `measure` that are averaged for pictures only.
    """

    figures: ClassVar[tuple[Figure, ...]] = ()
    min_members: ClassVar[int] = 1
    needs_futures: ClassVar[bool] = False
    maps: ClassVar[tuple[str, ...]] = ()

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        """Numbers of one forecast by name, (T, ...) each."""
        raise NotImplementedError

    def combine(self, means: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Figures (..., T) from averages over forecasts (..., T, ...); by default, the averages themselves."""
        return {figure.name: means[figure.name] for figure in self.figures}

    def applies_to(self, forecast: Forecast) -> bool:
        """Whether the score is defined for this forecast."""
        if not self.needs_futures:
            return len(forecast.members) >= self.min_members
        num_compared = len(forecast.compared)
        enough = num_compared >= max(self.min_members, min(2, len(forecast.members)))
        return enough and forecast.futures is not None and len(forecast.futures) >= 2
