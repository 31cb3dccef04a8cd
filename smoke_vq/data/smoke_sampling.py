"""Frames that a training epoch draws by how much smoke they have."""

from collections.abc import Sequence

import torch

from ..pixels import smoke_alpha
from .frames import Frames
from .order import proportional_order


class SmokeSampledFrames(Frames):
    """Frames of which an epoch draws each in proportion to `(1 + s) ** power`, s its smoke in pixels.

    Its smoke is the sum of its alpha. An epoch has as many draws as there are frames: it has some frames several times,
    and leaves out others.

    Args:
        power: 0 draws every frame once, 1 in proportion to the smoke.
    """

    def __init__(self, frames: Frames, power: float):
        self.frames, self.power = frames, power
        self.name, self.size, self.has_alpha = frames.name, frames.size, frames.has_alpha
        self.in_memory, self.sequences = frames.in_memory, frames.sequences
        self.weights = (1 + smoke_pixels(frames)) ** power

    def __len__(self) -> int:
        return len(self.frames)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        return self.frames.__getitems__(rows)

    def fingerprint(self) -> str:
        return self.frames.fingerprint()

    def to(self, device) -> "SmokeSampledFrames":
        self.frames = self.frames.to(device)
        return self

    def epoch_order(self, seed: int, epoch: int) -> torch.Tensor:
        return proportional_order(self.weights, seed, epoch)

    def _select(self, count: int) -> Frames:
        return self.frames.select(count)


def smoke_pixels(frames: Frames) -> torch.Tensor:
    """The sum of alpha, in [0, H W], of each frame: (N,) float64."""
    sums = []
    for first in range(0, len(frames), 1024):
        batch = frames.__getitems__(range(first, min(first + 1024, len(frames))))
        alpha = batch["alpha"] if frames.has_alpha else smoke_alpha(batch["image"])
        sums.append(alpha.double().sum(dim=(1, 2)).cpu() / 255)
    return torch.cat(sums)
