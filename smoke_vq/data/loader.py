"""Batches as a pure function of (seed, epoch, position), so that a resumed run sees what an uninterrupted one saw."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader

from .crops import smoke_crops
from .frames import Frames
from .order import coin_flips, uniforms

if TYPE_CHECKING:
    from .processor import SmokeImageProcessor


def check_fills_a_batch(name: str, num_frames: int, batch_size: int, world_size: int = 1) -> None:
    """Raise a ValueError if the frames of `name` are fewer than one batch on every process."""
    if num_frames < batch_size * world_size:
        what = f"one batch of {batch_size} on {world_size} process(es)"
        raise ValueError(f"{name} has {num_frames} frames, fewer than {what}.")


class FrameLoader:
    """Batches {pixel_values (B, 3, H, W), mask (B, 1, H, W), row (B,)} of one process.

    Of windows of frames (see `windows`) the batches are {pixel_values (B, T, 3, H, W), mask (B, T, 1, H, W),
    offset (B, T), row (B,)}.

    Of frames without images, such as latents, the batches are what the frames return.

    With `shuffle` (training) each epoch has its own order (`Frames.epoch_order`), and a remainder that does not fill a
    batch on every process is left out. The processes take the order in turns: two processes see what one process with
    twice the batch size sees. Without `shuffle` (validation) rows come in order, each process takes its share, and
    nothing is left out.

    Args:
        batch_size: frames per process and batch.
        flip: mirror left and right by a coin that depends on (seed, epoch, row); the frames of a window together.
        crop_size, crop_batches: the first `crop_batches` batches of all epochs are squares of `crop_size` pixels where
            the smoke is (see `smoke_crops`) instead of whole frames.
        num_workers: processes that decode; frames in memory need none.
        rank, world_size: index of this process, and number of processes.
    """

    def __init__(
        self,
        frames: Frames,
        processor: "SmokeImageProcessor",
        batch_size: int,
        shuffle: bool = False,
        flip: bool = False,
        crop_size: int = 0,
        crop_batches: int = 0,
        seed: int = 0,
        num_workers: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
    ):
        if shuffle:
            check_fills_a_batch(frames.name, len(frames), batch_size, world_size)
        elif len(frames) < world_size:
            raise ValueError(f"{frames.name} has {len(frames)} frames, fewer than the {world_size} processes.")
        self.frames, self.processor, self.batch_size = frames.to(device), processor, batch_size
        self.shuffle, self.flip, self.seed = shuffle, flip, seed
        self.crop_size, self.crop_batches = crop_size, crop_batches
        self.device, self.rank, self.world_size = device, rank, world_size
        self.num_workers = 0 if frames.in_memory else num_workers

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
        if self.shuffle:
            return len(self.frames) // (self.batch_size * self.world_size)
        return -(-len(range(self.rank, len(self.frames), self.world_size)) // self.batch_size)

    def in_order(self, max_frames: int | None = None) -> "FrameLoader":
        """The same frames once each, without mirroring; at most `max_frames`, evenly spaced."""
        place = dict(device=self.device, rank=self.rank, world_size=self.world_size)
        return FrameLoader(self.frames.select(max_frames), self.processor, self.batch_size, **place)

    def rows(self, epoch: int, start: int = 0) -> list[list[int]]:
        """The rows of each batch of this process, from batch `start` on."""
        if not self.shuffle:
            mine = list(range(self.rank, len(self.frames), self.world_size))
            return [mine[i : i + self.batch_size] for i in range(start * self.batch_size, len(mine), self.batch_size)]
        order = self.frames.epoch_order(self.seed, epoch).tolist()
        stride = self.batch_size * self.world_size
        first = range(start * stride + self.rank * self.batch_size, len(self) * stride, stride)
        return [order[i : i + self.batch_size] for i in first]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of one epoch, from batch `start` on."""
        frames, rows = self.frames.at_epoch(self.seed, epoch), self.rows(epoch, start)
        batches: Iterable[dict[str, torch.Tensor]] = map(frames.__getitems__, rows)
        if self.num_workers > 0:
            batches = DataLoader(
                frames,
                batch_sampler=rows,
                num_workers=self.num_workers,
                collate_fn=dict,  # the frames have made a batch already
                pin_memory=torch.device(self.device).type == "cuda",
            )
        for number, batch in enumerate(batches, start):
            yield self._process(batch, epoch, crop=epoch * len(self) + number < self.crop_batches)

    def _process(self, batch: dict[str, torch.Tensor], epoch: int, crop: bool) -> dict[str, torch.Tensor]:
        # Coins and places are hashes on the processor, which would wait for rows on a GPU.
        flips = coin_flips(self.seed, epoch, batch["row"]) if self.flip else None
        places = uniforms(self.seed, epoch, batch["row"]) if crop else None
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        if "image" not in batch:
            return batch
        images, alphas = batch.pop("image"), batch.pop("alpha", None)
        made = self.processor.to_batch(images, alphas, flips)
        if places is not None:
            places = places.to(self.device, non_blocking=True)
            made["pixel_values"], made["mask"] = smoke_crops(made["pixel_values"], made["mask"], self.crop_size, places)
        return made | batch
