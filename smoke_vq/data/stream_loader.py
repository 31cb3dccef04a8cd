"""Batches from a stream, for data that are read over the network or while they are written."""

from collections.abc import Iterator
from itertools import islice

import torch

from .images import as_frame
from .loader import Loader


class StreamLoader(Loader):
    """Batches of a `datasets.IterableDataset` (see `stream_frames`).

    The order is that of `IterableDataset.shuffle(seed, buffer_size)` with `set_epoch`. A stream does not know its
    length, so an epoch is `frames_per_epoch` frames. Each epoch reads the shards from their beginning, in another
    order: with fewer frames than the dataset has, the ends of the shards are never seen. Resuming reads and skips.

    Args:
        kwargs: as in `Loader`.
    """

    def __init__(self, dataset, frames_per_epoch: int, size: int, resize: bool, buffer_size: int = 4096, **kwargs):
        from datasets.distributed import split_dataset_by_node

        super().__init__(**kwargs)
        self.frames_per_epoch, self.size, self.resize = frames_per_epoch, size, resize
        if len(self) < 1:
            raise ValueError(
                f"frames_per_epoch {frames_per_epoch} is less than one batch of {self.batch_size} on "
                f"{self.world_size} process(es)."
            )
        shuffled = dataset.shuffle(seed=self.seed, buffer_size=buffer_size)
        self.dataset = split_dataset_by_node(shuffled, rank=self.rank, world_size=self.world_size)

    def __len__(self) -> int:
        return self.frames_per_epoch // (self.batch_size * self.world_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        self.dataset.set_epoch(epoch)
        # dataset.skip() would be faster, but forgets the epoch and reads the shards in the same order in each.
        stream = islice(self.dataset, start * self.batch_size, None)
        for index in range(start, len(self)):
            try:
                examples = list(islice(stream, self.batch_size))
            except (OSError, SyntaxError) as error:  # what PIL raises for truncated and broken files
                raise ValueError(f"Batch {index} of the stream cannot be read: {error}.") from error
            if len(examples) < self.batch_size:
                raise ValueError(
                    f"The stream ended after {index} batches of an epoch of {len(self)}: lower frames_per_epoch."
                )
            batch = {column: self._stack(examples, column, index) for column in examples[0]}
            first = (index * self.world_size + self.rank) * self.batch_size
            batch["row"] = torch.arange(first, first + self.batch_size)
            yield self.process(batch, epoch)

    def fingerprint(self) -> str:
        return f"stream-{self.frames_per_epoch}"

    def _stack(self, examples: list[dict], column: str, index: int) -> torch.Tensor:
        channels = 3 if column == "image" else 1
        try:
            frames = [as_frame(example[column], channels, self.size, self.resize) for example in examples]
        except ValueError as error:
            raise ValueError(f"Batch {index} of the stream, column {column!r}: {error}") from error
        return torch.stack([torch.from_numpy(frame) for frame in frames])
