"""Means over a dataset of distances between reconstructions and their frames, such as perceptual ones."""

from collections.abc import Callable

import torch

from .accumulator import Accumulator


class MeanDistances(Accumulator):
    """The mean over frames of each of `functions`, (sample, target) in [-1, 1] -> (B,), by name."""

    def __init__(self, functions: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]):
        super().__init__()
        self.functions = functions

    def update(self, sample: torch.Tensor, target: torch.Tensor) -> None:
        """sample, target: (B, C, H, W) in [-1, 1]."""
        for name, function in self.functions.items():
            self.add(name, function(sample, target).sum())
        self.add("frames", torch.tensor(len(sample), device=sample.device))

    def compute(self) -> dict[str, float]:
        return {name: float(self.sums[name] / self.sums["frames"]) for name in self.functions}
