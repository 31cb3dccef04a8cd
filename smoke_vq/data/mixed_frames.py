"""Several datasets as one: for training on simulated and recorded smoke together."""

from collections.abc import Sequence
from itertools import accumulate

import torch

from ..pixels import smoke_alpha
from .frames import DatasetFrames, PackedFrames
from .order import shares
from .sources import load_frames, stream_frames


class MixedFrames:
    """The frames of several datasets, their rows numbered one behind the other.

    If some of the datasets have alpha and others have not, the others get the alpha that stands for the mask which the
    processor takes from their pixels.

    Args:
        parts: the frames of each dataset, all of one size.
        weights: how often a training epoch draws from each dataset, in any unit; None for every frame once.

    Raises:
        ValueError: frames of different sizes, or so small a weight that an epoch has no frame of a dataset.
    """

    def __init__(self, parts: Sequence[PackedFrames | DatasetFrames], weights: Sequence[float] | None = None):
        self.parts, self.weights = list(parts), weights
        self.name = " + ".join(part.name for part in self.parts)
        self.lengths = [len(part) for part in self.parts]
        self.size = self.parts[0].size
        self.has_alpha = any(part.has_alpha for part in self.parts)
        self.in_memory = all(part.in_memory for part in self.parts)
        for part in self.parts:
            if part.size != self.size:
                raise ValueError(f"{part.name} has frames of {part.size}, {self.parts[0].name} of {self.size}.")
        for part, count in zip(self.parts, shares(len(self), weights or self.lengths), strict=True):
            if count < 1:
                raise ValueError(f"An epoch of {len(self)} frames has none of {part.name}: give it a larger weight.")

    def __len__(self) -> int:
        return sum(self.lengths)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = torch.as_tensor(rows).cpu()
        batches, places, first = [], [], 0
        for part, length in zip(self.parts, self.lengths, strict=True):
            mine = ((rows >= first) & (rows < first + length)).nonzero()[:, 0]
            if len(mine) > 0:
                batches.append(self._with_alpha(part.__getitems__((rows[mine] - first).tolist())))
                places.append(mine)
            first += length
        back = torch.cat(places).argsort()
        columns = ("image", "alpha") if self.has_alpha else ("image",)
        joined = {column: torch.cat([batch[column] for batch in batches]) for column in columns}
        return {column: tensor[back.to(tensor.device)] for column, tensor in joined.items()} | {"row": rows}

    def _with_alpha(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if "alpha" in batch or not self.has_alpha:
            return batch
        return batch | {"alpha": smoke_alpha(batch["image"])}

    @property
    def sequences(self) -> torch.Tensor | None:
        """(N,) int64, equal for neighbours that follow each other in time, or None if a part does not say."""
        numbers = [part.sequences for part in self.parts]
        if any(number is None for number in numbers):
            return None
        firsts = accumulate((int(number.max()) + 1 for number in numbers), initial=0)
        return torch.cat([number + first for number, first in zip(numbers, firsts, strict=False)])

    def fingerprint(self) -> str:
        """Changes when a part does, or their order."""
        return "+".join(part.fingerprint() for part in self.parts)

    def to(self, device) -> "MixedFrames":
        return MixedFrames([part.to(device) for part in self.parts], self.weights)

    def select(self, count: int | None) -> "MixedFrames":
        """At most `count` frames, evenly spaced over all parts."""
        if count is None or count >= len(self):
            return self
        counts = shares(count, self.lengths)
        for part, kept in zip(self.parts, counts, strict=True):
            if kept == 0:
                raise ValueError(f"At most {count} frames of {self.name} leave none of {part.name}: take more.")
        return MixedFrames([part.select(kept) for part, kept in zip(self.parts, counts, strict=True)], self.weights)

    def pack(self) -> PackedFrames:
        """All parts, one behind the other, in one; forgets the weights."""
        parts = [part.pack() for part in self.parts]
        images, alphas = torch.cat([part.images for part in parts]), None
        if self.has_alpha:
            alphas = torch.cat([part.alphas if part.has_alpha else smoke_alpha(part.images) for part in parts])
        return PackedFrames(images, alphas, self.name, self.sequences)


def load_mixed_frames(
    sources: Sequence[str],
    split: str = "train",
    size: int = 64,
    packed: bool = True,
    resize: bool = False,
    max_frames: int | None = None,
    weights: Sequence[float] | None = None,
) -> PackedFrames | DatasetFrames | MixedFrames:
    """Load one split of each source, as `load_frames` does, and put them together; a single source stays as it is.

    Args:
        max_frames: at most so many, evenly spaced over all of them.
        weights: one a source: how often a training epoch draws from it, see `MixedFrames`.
    """
    if len(sources) == 1:
        return load_frames(sources[0], split, size, packed, resize, max_frames)
    parts = [load_frames(source, split, size, packed=False, resize=resize) for source in sources]
    frames = MixedFrames(parts, weights).select(max_frames)
    return MixedFrames([part.pack() for part in frames.parts], weights) if packed else frames


def stream_mixed_frames(sources: Sequence[str], split: str, weights: Sequence[float] | None, seed: int):
    """Streams of several sources as one that draws from each by weight; a single source is streamed as it is.

    In an epoch each source begins anew and is read again at its end, until all have been read once. So the ends of the
    shards of a source are seen only where its share of the epoch is at least its length.
    """
    if len(sources) == 1:
        return stream_frames(sources[0], split)
    if weights is None:
        raise ValueError("Streaming several datasets needs dataset_weights, since a stream does not know its length.")
    streams = [stream_frames(source, split) for source in sources]
    for source, stream in zip(sources, streams, strict=True):
        if stream.column_names != streams[0].column_names:
            raise ValueError(
                f"Datasets that are streamed together need the same columns: {sources[0]} has "
                f"{streams[0].column_names} and {source} {stream.column_names}."
            )
    import datasets

    probabilities = [weight / sum(weights) for weight in weights]
    return datasets.interleave_datasets(streams, probabilities, seed, stopping_strategy="all_exhausted")
