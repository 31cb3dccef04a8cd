"""Frames of a `datasets.Dataset`, decoded on access: for data that are larger than memory."""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from ..limits import PICTURE_ERRORS
from .frames import Frames, runs
from .images import as_frame


class DatasetFrames(Frames):
    """Rows of a `datasets.Dataset` with a column `image` and optionally `alpha`, decoded on access.

    Args:
        size: height and width that every frame must have.
        resize: resize frames of another size instead of refusing them.
    """

    def __init__(self, dataset, size: int, resize: bool = False, name: str = "dataset"):
        if "image" not in dataset.column_names:
            raise ValueError(f"{name} has no column 'image': found {dataset.column_names}.")
        self.columns = [column for column in ("image", "alpha") if column in dataset.column_names]
        self.has_alpha = "alpha" in self.columns
        self.dataset = dataset.select_columns(self.columns)
        self.sequences = _sequences(dataset)
        self.size, self.resize, self.name = (size, size), resize, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        frames = [self._decode(int(row)) for row in rows]
        batch = {column: torch.stack([frame[column] for frame in frames]) for column in self.columns}
        return batch | {"row": torch.as_tensor(rows)}

    def _decode(self, row: int) -> dict[str, torch.Tensor]:
        try:
            images = self.dataset[row]
        except PICTURE_ERRORS as error:
            raise ValueError(f"Row {row} of {self.name} cannot be decoded: {error}.") from error
        arrays = {}
        for column in self.columns:
            try:
                arrays[column] = as_frame(images[column], 3 if column == "image" else 1, self.size[0], self.resize)
            except ValueError as error:
                raise ValueError(f"Row {row} of {self.name}, column {column!r}: {error}") from error
        return {column: torch.from_numpy(array) for column, array in arrays.items()}

    def fingerprint(self) -> str:
        return f"{len(self)}-{self.dataset._fingerprint}"

    def _select(self, count: int) -> "DatasetFrames":
        rows = [round(i * (len(self) - 1) / max(1, count - 1)) for i in range(count)]
        chosen = copy.copy(self)
        chosen.dataset = self.dataset.select(rows)
        chosen.sequences = None if self.sequences is None else runs(self.sequences[rows], torch.tensor(rows))
        return chosen


def _sequences(dataset) -> torch.Tensor | None:
    """(N,) int64, from the columns that name the sequence of each frame and its place; None without a name."""
    columns = dataset.column_names
    name = next((column for column in ("sequence_id", "clip_id") if column in columns), None)
    place = next((column for column in ("frame_index", "frame") if column in columns), None)
    if name is None:
        return None
    places = torch.arange(len(dataset)) if place is None else torch.as_tensor(dataset[place][:])
    return runs(torch.from_numpy(np.unique(dataset[name][:], return_inverse=True)[1]), places)
