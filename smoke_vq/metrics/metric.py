"""The base class of metrics, and the batches that they receive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..float64 import to_float64
from .figure import Figure


@dataclass(frozen=True)
class Batch:
    """A batch for metrics. All fields except `sample` and `target` are None if unknown.

    Args:
        sample: (B, C, H, W) float32 in [-1, 1], the reconstruction.
        target: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1], 1 where the target shows smoke.
        sequence: (B,) integers, equal for frames that follow each other in the dataset and in time.
        indices: (B, h, w) or (B, h, w, depth) codes of the frames, integers in [0, num_codes).
        num_codes: size of a codebook.
        latents: (B, D, h, w), what the sample was decoded from, before quantization.
        target_latents: (B, D, h, w), what they should be.
        target_indices: as `indices`, what the codes should be.
        num_bytes: (B,) compressed size of each frame.
        num_payload_bytes: (B,) the same without file headers.
    """

    sample: torch.Tensor
    target: torch.Tensor
    mask: torch.Tensor | None = None
    sequence: torch.Tensor | None = None
    indices: torch.Tensor | None = None
    num_codes: int | None = None
    latents: torch.Tensor | None = None
    target_latents: torch.Tensor | None = None
    target_indices: torch.Tensor | None = None
    num_bytes: torch.Tensor | None = None
    num_payload_bytes: torch.Tensor | None = None


class Metric:
    """Base class of all metrics.

    A metric lists its `figures` and implements `update` and `compute`. `update` sees each batch once and calls `add`
    for sums over the dataset and `keep` for values of each frame. After the last batch, sums are added over processes
    (`reduce`) and kept values may be gathered (`gather`); then `compute` turns them into figures.

    One object measures several models on the same frames: `reset` is called before each of them.
    """

    figures: ClassVar[tuple[Figure, ...]] = ()
    min_frames: ClassVar[int] = 1

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Remove all sums and kept values."""
        self.sums: dict[str, torch.Tensor] = {}
        self.frames: dict[str, torch.Tensor] = {}
        self._kept: dict[str, list[torch.Tensor]] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        """Add to the sum `name`, in float64 (float32 sums over a dataset lose the small terms; see `to_float64`)."""
        value = to_float64(value.detach())
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def keep(self, name: str, values: torch.Tensor) -> None:
        """Keep a value of each frame, (B, ...). A name in `figures` is a figure of the frame, NaN where undefined."""
        self._kept.setdefault(name, []).append(values.detach())

    def update(self, batch: Batch) -> None:
        """Add one batch."""
        raise NotImplementedError

    def reduce(self, add_over_processes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Replace each sum by its sum over processes. Every process must have seen at least one batch."""
        self.sums = {name: add_over_processes(value) for name, value in self.sums.items()}

    def gather(self, gather_frames: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Fill `frames` with the kept values of all frames, (N, ...), in the order of the dataset.

        Args:
            gather_frames: maps the values of this process, in the order of its batches, to those of all processes.
        """
        self.frames = {name: gather_frames(torch.cat(values)) for name, values in self._kept.items()}

    def compute(self) -> dict[str, float | None]:
        """The figures. A figure that is undefined for these frames is left out or None, never NaN."""
        raise NotImplementedError
