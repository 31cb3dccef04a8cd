"""Losses, gradients and weights that are not finite, and losses that jump."""

from collections import deque
from collections.abc import Iterable
from statistics import median

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

WEIGHTS = "weights"


class FiniteGuard:
    """Keeps, on the device, the first step at which each loss was not finite; only `describe` waits for the device."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.first: dict[tuple[str, ...], torch.Tensor] = {}  # steps by names of losses; 0 if all were finite

    def note(self, losses: dict[str, torch.Tensor], step: int) -> None:
        """Note the losses and gradient norms of a micro-batch."""
        # With fp16, a gradient that is not finite lowers the loss scale, and the scaler omits the step.
        scaled = self.accelerator.scaler is not None
        names = tuple(name for name in losses if not (scaled and name.startswith("gradient_norm")))
        self._note(names, torch.stack([~torch.isfinite(losses[name]) for name in names]), step)

    def note_weights(self, networks: Iterable[nn.Module], step: int) -> None:
        parameters = [parameter for network in networks for parameter in network.parameters()]
        good = torch.stack([torch.isfinite(parameter).all() for parameter in parameters]).all()
        self._note((WEIGHTS,), ~good.reshape(1), step)

    def _note(self, names: tuple[str, ...], bad: torch.Tensor, step: int) -> None:
        first = self.first.get(names)
        first = torch.zeros(len(names), dtype=torch.int64, device=bad.device) if first is None else first
        self.first[names] = torch.where(bad & (first == 0), step, first)

    def describe(self) -> str:
        """Which values of which step were not finite, on all processes; empty if all were. Called by all processes."""
        anything = sum((first.sum() for first in self.first.values()), torch.tensor(0, device=self.accelerator.device))
        if int(self.accelerator.reduce(anything, "sum")) == 0:
            return ""
        own: dict[str, int] = {}
        for names, first in self.first.items():
            for name, step in zip(names, first.tolist(), strict=True):
                if step > 0:
                    own[name] = min(step, own.get(name, step))
        everywhere = gather_object([own])
        step = min(step for found in everywhere for step in found.values())
        values = sorted({name for found in everywhere for name, at in found.items() if at == step})
        by_ranks: dict[tuple[int, ...], list[str]] = {}
        for name in values:
            ranks = tuple(rank for rank, found in enumerate(everywhere) if found.get(name) == step)
            by_ranks.setdefault(ranks, []).append(name)
        parts = [
            ", ".join(names) + ("" if len(ranks) == len(everywhere) else f" on process {' and '.join(map(str, ranks))}")
            for ranks, names in sorted(by_ranks.items())
        ]
        return f"at step {step} ({'; '.join(parts)})"


class SpikeAlarm:
    """Notices a loss that is several times what it was in the last log entries."""

    FACTOR = 4.0
    ENTRIES = 10

    def __init__(self):
        self.entries: deque[float] = deque(maxlen=self.ENTRIES)
        self.is_high = False

    def look(self, loss: float) -> str:
        """A sentence at the first log entry of a spike, otherwise empty."""
        usual = median(self.entries) if len(self.entries) == self.ENTRIES else 0.0
        self.entries.append(loss)
        was_high, self.is_high = self.is_high, loss > self.FACTOR * usual > 0
        if not self.is_high or was_high:
            return ""
        return (
            f"The loss has risen to {loss:.3g}, {loss / usual:.1f} times its median of the last {self.ENTRIES} "
            f"entries. If it stays high, go back to an earlier checkpoint (--resume-from-checkpoint) with a lower "
            f"--lr or --max-grad-norm."
        )
