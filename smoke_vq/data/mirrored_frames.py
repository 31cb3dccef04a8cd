"""Frames and, after them, the same frames mirrored left and right."""

from collections.abc import Sequence

import torch

from .frames import Frames


class WithMirroredFrames(Frames):
    """2N rows: the frames, then the mirrored frames as sequences of their own.

    For what cannot be mirrored itself: the latents of a mirrored frame are not those of the frame mirrored.
    """

    def __init__(self, frames: Frames):
        self.frames, self.name = frames, f"{frames.name} and mirrored"
        self.size, self.has_alpha, self.in_memory = frames.size, frames.has_alpha, frames.in_memory
        if frames.sequences is not None:
            self.sequences = torch.cat([frames.sequences, frames.sequences + int(frames.sequences.max()) + 1])

    def __len__(self) -> int:
        return 2 * len(self.frames)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = torch.as_tensor(rows).cpu()
        batch = self.frames.__getitems__((rows % len(self.frames)).tolist())
        mirrored = rows >= len(self.frames)
        for name in batch.keys() & {"image", "alpha"}:  # the third axis is the width
            flips = mirrored.to(batch[name].device).view(-1, *[1] * (batch[name].ndim - 1))
            batch[name] = torch.where(flips, batch[name].flip(2), batch[name])
        return batch | {"row": rows}

    def fingerprint(self) -> str:
        return f"{self.frames.fingerprint()} and mirrored"
