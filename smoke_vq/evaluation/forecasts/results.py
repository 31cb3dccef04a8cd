"""Figures of all rows by horizon, with intervals, skills and paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .bootstrap import draws, interval, weighted_means
from .measure import Measured
from .scores import ForecastScore


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds 95 % of its values over draws of plumes.

    by_frame: (T,); its low and high: (2, T).
    mean: over the frames; its low and high: (2,).
    """

    by_frame: torch.Tensor
    interval_by_frame: torch.Tensor
    mean: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, value: torch.Tensor, drawn: torch.Tensor) -> "Estimate":
        """From the figure (T,) and its draws (R, T)."""
        low, high = interval(drawn.mean(dim=1)).tolist()
        return cls(value, interval(drawn), float(value.mean()), (low, high))


class Results:
    """Figures of measured rows.

    Args:
        groups: (N,) the plume of each forecast.
        skill_reference: the row that skills are relative to.
        num_draws: samples of the bootstrap.
    """

    def __init__(
        self,
        measured: Sequence[Measured],
        scores: dict[str, ForecastScore],
        groups: Sequence[str],
        skill_reference: str,
        num_draws: int = 1000,
    ):
        self.rows, self.scores = {one.row.name: one for one in measured}, scores
        self.num_forecasts, self.num_groups = len(groups), len(set(groups))
        all_once = torch.ones(1, len(groups), dtype=torch.float64)
        weights = torch.cat([all_once, draws(groups, num_draws)])
        # By row and figure, (1 + R, T): with every forecast once, then the draws.
        self._values = {name: self._figures(one, weights) for name, one in self.rows.items()}
        reference = self._values[skill_reference].get("crps")
        for values in self._values.values():
            if "crps" in values:
                values["crps_skill"] = 1 - values["crps"] / reference

    def figures(self, row: str) -> dict[str, Estimate]:
        """The figures of a row by name."""
        return {name: Estimate.of(values[0], values[1:]) for name, values in self._values[row].items()}

    def differences(self, row: str, other: str) -> dict[str, Estimate]:
        """Figures of a row minus those of another, in the same draws."""
        first, second = self._values[row], self._values[other]
        found = {name: first[name] - second[name] for name in first if name in second}
        return {name: Estimate.of(values[0], values[1:]) for name, values in found.items()}

    def _figures(self, measured: Measured, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        figures = {}
        for name, parts in measured.values.items():
            means = {part: weighted_means(values, weights) for part, values in parts.items()}
            figures |= self.scores[name].combine(means)
        return figures
