"""Means of losses over the steps between two log entries."""

from collections.abc import Iterable

import torch
from accelerate import Accelerator

from ..float64 import finest_dtype


class RunningMeans:
    """Sums each loss on the device, in float64 if it has it; `means` averages over micro-batches and processes."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.sums: dict[str, torch.Tensor] = {}  # by name: (sum, count)

    def add(self, losses: dict[str, torch.Tensor]) -> None:
        for name, loss in losses.items():
            loss = loss.to(finest_dtype(loss.device))
            entry = torch.stack([loss, torch.ones_like(loss)])
            self.sums[name] = self.sums.get(name, 0) + entry

    def means(self) -> dict[str, float]:
        """The means by name; resets the sums."""
        sums = {name: self.accelerator.reduce(entry, "sum").tolist() for name, entry in sorted(self.sums.items())}
        self.sums = {}
        return {name: total / count for name, (total, count) in sums.items()}

    def state(self) -> list[dict[str, list[float]]]:
        """For a checkpoint: the sums of each process."""
        gathered = {
            name: self.accelerator.gather(entry.reshape(1, 2)).tolist() for name, entry in sorted(self.sums.items())
        }
        return [
            {name: values[process] for name, values in gathered.items()}
            for process in range(self.accelerator.num_processes)
        ]

    def restore(self, state: list[dict[str, Iterable[float]]]) -> None:
        """Take over the sums of a checkpoint; if the number of processes has changed, the first one takes them all."""
        place = dict(dtype=finest_dtype(self.accelerator.device), device=self.accelerator.device)
        sums = [{name: torch.tensor(entry, **place) for name, entry in own.items()} for own in state]
        if len(sums) != self.accelerator.num_processes:
            total = {name: sum(own[name] for own in sums) for name in sums[0]}
            nothing = {name: torch.zeros(2, **place) for name in total}
            sums = [total, *[nothing] * (self.accelerator.num_processes - 1)]
        self.sums = sums[self.accelerator.process_index]
