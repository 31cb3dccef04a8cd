"""Forecasts by analogues (Lorenz, 1969, J. Atmos. Sci. 26): what followed the most similar frames of a training set."""

from collections.abc import Callable

import torch

from ....data.frames import Frames
from ....pixels import to_pixel_values
from ..cases import ForecastCase

_BATCH = 256


class NearestNeighbours:
    """The frames that followed the nearest neighbours of the last two observed frames, as an ensemble.

    The distance is Euclidean in the latents of both frames. Each clip of the training set has at most one neighbour.

    Args:
        frames: the training set, with sequences, in memory.
        encode: (B, 3, H, W) in [-1, 1] to latents (B, D, h, w).
        num_frames: frames to predict, T.
        num_members: number of neighbours.

    Raises:
        ValueError: unknown sequences, frames of another size, or too few clips of T + 2 frames.
    """

    def __init__(
        self, frames: Frames, encode: Callable[[torch.Tensor], torch.Tensor], num_frames: int, num_members: int = 16
    ):
        if frames.sequences is None:
            raise ValueError(f"{frames.name} does not say which frames follow each other: neighbours need sequences.")
        self.frames, self.encode, self.num_frames, self.num_members = frames, encode, num_frames, num_members
        _, self.run, length = frames.sequences.unique_consecutive(return_inverse=True, return_counts=True)
        place = torch.arange(len(frames)) - (length.cumsum(dim=0) - length)[self.run]
        self.rows = ((place >= 1) & (place + num_frames < length[self.run])).nonzero()[:, 0]
        num_clips = len(self.run[self.rows].unique())
        if num_clips < num_members:
            raise ValueError(
                f"{frames.name} has {num_clips} clips of at least {num_frames + 2} frames: expected {num_members}, one "
                f"for each neighbour."
            )
        batches = torch.arange(len(frames)).split(_BATCH)
        self.latents = torch.cat([self._encode(to_pixel_values(self._images(batch))) for batch in batches])

    def __call__(self, case: ForecastCase) -> torch.Tensor:
        """(S, T, 3, H, W) in [-1, 1], the nearest first."""
        before, last = self._encode(case.past_values[-2:])
        distance = self._distance(self.rows, last) + self._distance(self.rows - 1, before)
        order = distance.argsort()
        _, clip = self.run[self.rows[order]].unique(return_inverse=True)
        first = torch.full((int(clip.max()) + 1,), len(order)).scatter_reduce(
            0, clip, torch.arange(len(order)), "amin"
        )  # the nearest frame of each clip
        nearest = self.rows[order[first.sort().values[: self.num_members]]]
        following = nearest[:, None] + torch.arange(1, self.num_frames + 1)
        return to_pixel_values(self._images(following.flatten())).unflatten(0, following.shape)

    def _images(self, rows: torch.Tensor) -> torch.Tensor:
        return self.frames.__getitems__(rows.tolist())["image"]

    @torch.no_grad()
    def _encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.encode(pixel_values).float().flatten(1).cpu()

    def _distance(self, rows: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return torch.cat([(self.latents[part] - latents).square().sum(dim=1) for part in rows.split(4096)])
