"""Several datasets as one: for training on simulated and recorded smoke together."""

from collections.abc import Sequence
from itertools import accumulate

import torch

from ..pixels import smoke_alpha
from .frames import Frames
from .order import mixed_order, shares


class MixedFrames(Frames):
    """The frames of several datasets, their rows numbered consecutively.

    If only some of the datasets have alpha, the others get one that gives the mask of their pixels (`smoke_alpha`).

    Args:
        parts: the frames of each dataset, all of one size.
        weights: how often a training epoch draws from each dataset, in any unit; None to draw every frame once.

    Raises:
        ValueError: frames of different sizes, or a weight so small that an epoch has no frame of a dataset.
    """

    def __init__(self, parts: Sequence[Frames], weights: Sequence[float] | None = None):
        self.parts, self.weights = list(parts), weights
        self.name = " + ".join(part.name for part in self.parts)
        self.lengths = [len(part) for part in self.parts]
        self.size = self.parts[0].size
        self.has_alpha = any(part.has_alpha for part in self.parts)
        self.in_memory = all(part.in_memory for part in self.parts)
        for part, count in zip(self.parts, shares(len(self), weights or self.lengths), strict=True):
            if part.size != self.size:
                raise ValueError(f"{part.name} has frames of {part.size}, {self.parts[0].name} of {self.size}.")
            if count < 1:
                raise ValueError(
                    f"An epoch of {len(self)} frames has no frame of {part.name}: give it a larger weight."
                )

    def __len__(self) -> int:
        return sum(self.lengths)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = torch.as_tensor(rows).cpu()
        batches, places = [], []
        for part, first in zip(self.parts, accumulate(self.lengths, initial=0), strict=False):
            mine = ((rows >= first) & (rows < first + len(part))).nonzero()[:, 0]
            if len(mine) > 0:
                batch = part.__getitems__((rows[mine] - first).tolist())
                if self.has_alpha and not part.has_alpha:
                    batch["alpha"] = smoke_alpha(batch["image"])
                batches.append(batch)
                places.append(mine)
        back = torch.cat(places).argsort()
        columns = batches[0].keys() - {"row"}
        joined = {column: torch.cat([batch[column] for batch in batches]) for column in columns}
        return {column: tensor[back.to(tensor.device)] for column, tensor in joined.items()} | {"row": rows}

    @property
    def sequences(self) -> torch.Tensor | None:
        """(N,) int64, or None if a part has none."""
        numbers = [part.sequences for part in self.parts]
        if any(number is None for number in numbers):
            return None
        firsts = accumulate((int(number.max()) + 1 for number in numbers), initial=0)
        return torch.cat([number + first for number, first in zip(numbers, firsts, strict=False)])

    def fingerprint(self) -> str:
        """Changes with a part or their order."""
        return "+".join(part.fingerprint() for part in self.parts)

    def epoch_order(self, seed: int, epoch: int) -> torch.Tensor:
        if self.weights is None:
            return super().epoch_order(seed, epoch)
        return mixed_order(self.lengths, self.weights, seed, epoch)

    def at_epoch(self, seed: int, epoch: int) -> "MixedFrames":
        return MixedFrames([part.at_epoch(seed, epoch) for part in self.parts], self.weights)

    def to(self, device) -> "MixedFrames":
        if not self.in_memory:  # some parts are decoded on the CPU
            return self
        return MixedFrames([part.to(device) for part in self.parts], self.weights)

    def _select(self, count: int) -> "MixedFrames":
        counts = shares(count, self.lengths)
        if 0 in counts:
            missing = self.parts[counts.index(0)].name
            raise ValueError(f"{count} of the frames of {self.name} include none of {missing}: take more.")
        return MixedFrames([part.select(kept) for part, kept in zip(self.parts, counts, strict=True)], self.weights)
