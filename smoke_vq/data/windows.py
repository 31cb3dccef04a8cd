"""Windows of frames: a frame with those before and after it in its run, and a random earlier one.

For models that predict the next frames from the previous one and a random earlier one (Davtyan et al., 2023,
arXiv:2211.14575). Nothing is copied: a window is a set of rows of the frames.
"""

import copy
from collections.abc import Sequence

import torch

from .frames import Frames
from .mixed_frames import MixedFrames
from .order import draws


def windows(frames: Frames, num_previous: int = 1, num_next: int = 1, earlier: bool = True) -> Frames:
    """`WindowedFrames` of frames; of a mix, those of each part, drawn by the weight of the part."""
    if isinstance(frames, MixedFrames):
        return MixedFrames([windows(part, num_previous, num_next, earlier) for part in frames.parts], frames.weights)
    return WindowedFrames(frames, num_previous, num_next, earlier)


class WindowedFrames(Frames):
    """Each row is a window of T frames of one run, around one frame: the current one.

    In order of time: a random earlier frame (if `earlier`), `num_previous` frames, the current one, `num_next` frames.
    The random frame comes before the previous ones, uniformly from the start of the run; which one it is depends on
    (seed, epoch, row) alone. Frames without enough others around them in their run have no row.

    Args:
        frames: frames that know their `sequences`.

    Raises:
        ValueError: unknown sequences, or runs that are all too short.
    """

    def __init__(self, frames: Frames, num_previous: int = 1, num_next: int = 1, earlier: bool = True):
        if num_previous < 0 or num_next < 0:
            raise ValueError(f"num_previous and num_next expect 0 or more, found {num_previous} and {num_next}.")
        sequences = frames.sequences
        if sequences is None:
            raise ValueError(
                f"{frames.name} does not say which frames follow each other: windows need the columns sequence_id and "
                f"frame (or clip_id and frame_index), or packed frames with sequences."
            )
        _, run, length = sequences.unique_consecutive(return_inverse=True, return_counts=True)
        place = torch.arange(len(sequences)) - (length.cumsum(dim=0) - length)[run]  # in the run, from 0
        fits = (place >= num_previous + earlier) & (place + num_next < length[run])
        self.current = fits.nonzero()[:, 0]
        if len(self.current) == 0:
            raise ValueError(
                f"{frames.name} has no window: the longest run has {int(length.max())} frames, "
                f"expected {earlier + num_previous + 1 + num_next} or more."
            )
        self.frames, self.earlier, self.seed, self.epoch = frames, earlier, 0, 0
        self.num_earlier = (place - num_previous)[self.current]  # frames that the random one is chosen from
        self.offsets = torch.arange(-num_previous, num_next + 1)
        self.name, self.size = f"windows of {frames.name}", frames.size
        self.has_alpha, self.in_memory = frames.has_alpha, frames.in_memory

    def __len__(self) -> int:
        return len(self.current)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """{image (B, T, H, W, 3) uint8, offset (B, T) int64, row (B,) int64} and, with alpha, alpha (B, T, H, W) uint8.

        offset: when each frame was, in frames from the current one.
        """
        rows = torch.as_tensor(rows).cpu()
        offset = self.offsets.repeat(len(rows), 1)
        if self.earlier:
            drawn = draws(self.seed, self.epoch, rows, self.num_earlier[rows])
            offset = torch.cat([(self.offsets[0] - 1 - drawn)[:, None], offset], dim=1)
        batch = self.frames.__getitems__((self.current[rows, None] + offset).flatten().tolist())
        batch = {name: tensor.unflatten(0, offset.shape) for name, tensor in batch.items()}
        return batch | {"offset": offset, "row": rows}

    def at_epoch(self, seed: int, epoch: int) -> "WindowedFrames":
        return self._with(seed=seed, epoch=epoch)

    def fingerprint(self) -> str:
        offsets = f"{int(self.offsets[0])}..{int(self.offsets[-1])}{' and earlier' if self.earlier else ''}"
        return f"{len(self)} windows {offsets} of {self.frames.fingerprint()}"

    def to(self, device) -> "WindowedFrames":
        return self._with(frames=self.frames.to(device))

    def _select(self, count: int) -> "WindowedFrames":
        kept = torch.linspace(0, len(self) - 1, count).round().long()
        return self._with(current=self.current[kept], num_earlier=self.num_earlier[kept])

    def pack(self) -> "WindowedFrames":
        return self._with(frames=self.frames.pack(), in_memory=True)

    def _with(self, **changes) -> "WindowedFrames":
        other = copy.copy(self)
        vars(other).update(changes)
        return other
