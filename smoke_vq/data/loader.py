"""Batches as a pure function of (seed, epoch, position), so that a resumed run sees what an unbroken one saw."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader

from .frames import DatasetFrames, PackedFrames, as_array, resize
from .mixed_frames import MixedFrames
from .order import mixed_order, permutation
from .processor import SmokeImageProcessor

MASK64 = (1 << 64) - 1


def coin_flips(seed: int, epoch: int, rows: torch.Tensor) -> torch.Tensor:
    """A fair coin for each (seed, epoch, row), always the same: the top bit of splitmix64 (Steele et al., 2014)."""
    start = (seed * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03) & MASK64
    with np.errstate(over="ignore"):
        x = rows.cpu().numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = (x ^ (x >> np.uint64(31))) >> np.uint64(63)
    return torch.from_numpy(bits.astype(bool)).to(rows.device)


class FrameLoader:
    """Batches {pixel_values (B, 3, H, W), mask (B, 1, H, W), row (B,)} of one process.

    With `shuffle` (training) each epoch is its own permutation, or of a weighted mix its own `mixed_order`, and what
    does not fill a batch on every process is left out; the processes together take it in order, so that two processes
    see what one process with twice the batch sees. Without (validation) rows come in order, each process takes its
    share, and nothing is left out.

    Args:
        batch_size: frames a process and batch.
        flip: mirror left and right by a coin keyed by (seed, epoch, row).
        num_workers: processes that decode; packed frames need none.
        rank, world_size: which process this is, and of how many.
    """

    def __init__(
        self,
        frames: PackedFrames | DatasetFrames | MixedFrames,
        processor: SmokeImageProcessor,
        batch_size: int,
        shuffle: bool = False,
        flip: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
    ):
        if shuffle and len(frames) < batch_size * world_size:
            raise ValueError(
                f"{frames.name} has {len(frames)} frames, fewer than one batch of {batch_size} on {world_size} "
                f"process(es)."
            )
        if not shuffle and len(frames) < world_size:
            raise ValueError(f"{frames.name} has {len(frames)} frames, fewer than the {world_size} processes.")
        self.frames = frames.to(device) if frames.in_memory else frames
        self.processor, self.batch_size, self.shuffle, self.flip, self.seed = processor, batch_size, shuffle, flip, seed
        self.num_workers = 0 if frames.in_memory else num_workers
        self.device, self.rank, self.world_size = device, rank, world_size

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
        if self.shuffle:
            return len(self.frames) // (self.batch_size * self.world_size)
        return -(-len(range(self.rank, len(self.frames), self.world_size)) // self.batch_size)

    def rows(self, epoch: int, start: int = 0) -> list[list[int]]:
        """The rows of each batch of this process, from batch `start` on."""
        if not self.shuffle:
            mine = list(range(self.rank, len(self.frames), self.world_size))
            return [mine[i : i + self.batch_size] for i in range(start * self.batch_size, len(mine), self.batch_size)]
        if isinstance(self.frames, MixedFrames) and self.frames.weights is not None:
            order = mixed_order(self.frames.lengths, self.frames.weights, self.seed, epoch).tolist()
        else:
            order = permutation(len(self.frames), self.seed, epoch).tolist()
        stride = self.batch_size * self.world_size
        first = range(start * stride + self.rank * self.batch_size, len(self) * stride, stride)
        return [order[i : i + self.batch_size] for i in first]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of one epoch, from batch `start` on."""
        loader = DataLoader(
            self.frames,
            batch_sampler=self.rows(epoch, start),
            num_workers=self.num_workers,
            collate_fn=_as_is,
            pin_memory=self.num_workers > 0 and torch.device(self.device).type == "cuda",
        )
        for batch in loader:
            yield self.process(batch, epoch)

    def process(self, batch: dict[str, torch.Tensor], epoch: int) -> dict[str, torch.Tensor]:
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        pixel_values = self.processor.to_pixel_values(batch["image"])
        mask = self.processor.to_mask(pixel_values, batch.get("alpha"))
        if self.flip:
            flips = coin_flips(self.seed, epoch, batch["row"])[:, None, None, None]
            pixel_values = torch.where(flips, pixel_values.flip(3), pixel_values)
            mask = torch.where(flips, mask.flip(3), mask)
        return {"pixel_values": pixel_values, "mask": mask, "row": batch["row"]}

    def fingerprint(self) -> str:
        return self.frames.fingerprint()


class StreamLoader(FrameLoader):
    """The same batches from a stream (`stream_frames`), for data that is read over the network or as it is written.

    The order is that of `IterableDataset.shuffle(seed, buffer_size)` with `set_epoch`; an epoch is `frames_per_epoch`
    frames, since a stream does not know its length. Each epoch reads the shards from their beginnings, in another
    order: give it the length of the dataset, or the ends of the shards are never seen. Resuming skips what was read.
    """

    def __init__(self, dataset, frames_per_epoch: int, size: int, resize: bool, buffer_size: int = 4096, **kwargs):
        from datasets.distributed import split_dataset_by_node

        self.size, self.resize, self.frames_per_epoch = size, resize, frames_per_epoch
        rank, world_size = kwargs.get("rank", 0), kwargs.get("world_size", 1)
        shuffled = dataset.shuffle(seed=kwargs.get("seed", 0), buffer_size=buffer_size)
        self.dataset = split_dataset_by_node(shuffled, rank=rank, world_size=world_size)
        super().__init__(_StreamLength(frames_per_epoch), shuffle=True, **kwargs)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        self.dataset.set_epoch(epoch)
        # dataset.skip() would be faster, but forgets the epoch and reads the shards in the same order in each.
        stream = islice(self.dataset, start * self.batch_size, None)
        for index in range(start, len(self)):
            try:
                examples = list(islice(stream, self.batch_size))
            except (OSError, SyntaxError) as error:  # PIL's words for truncated and broken files
                raise ValueError(f"Batch {index} of the stream cannot be read: {error}.") from error
            if len(examples) < self.batch_size:
                raise ValueError(
                    f"The stream ended after {index} batches of an epoch of {len(self)}: lower frames_per_epoch."
                )
            batch = {
                column: torch.stack([torch.from_numpy(self._array(example[column], column)) for example in examples])
                for column in examples[0]
            }
            first = (index * self.world_size + self.rank) * self.batch_size
            batch["row"] = torch.arange(first, first + self.batch_size)
            yield self.process(batch, epoch)

    def fingerprint(self) -> str:
        return f"stream-{self.frames_per_epoch}"

    def _array(self, image, column: str) -> np.ndarray:
        array = as_array(image, channels=3 if column == "image" else 1)
        if array.shape[:2] == (self.size, self.size):
            return array
        if self.resize:
            return resize(array, self.size)
        raise ValueError(
            f"The stream has a frame of {array.shape[1]}x{array.shape[0]}: expected {self.size}x{self.size}."
        )


class _StreamLength:
    name, in_memory = "the stream", False

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return self.length


def _as_is(batch):
    return batch
