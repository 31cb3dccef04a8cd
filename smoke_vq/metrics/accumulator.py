"""What a metric over a whole dataset needs: sums that can be added over batches, then over processes."""

from collections.abc import Callable

import torch


class Accumulator:
    """Holds named tensors in `sums`; `reduce` adds them over processes; `compute` turns them into numbers."""

    def __init__(self):
        self.sums: dict[str, torch.Tensor] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        """Add to the sum `name`, in float64 (float32 sums over a dataset lose the small terms)."""
        value = value.detach().double()
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def reduce(self, add_over_processes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Replace each sum by its sum over processes; every process must have seen at least one batch."""
        self.sums = {name: add_over_processes(value) for name, value in self.sums.items()}
