"""Frames of a `datasets.Dataset`, decoded on access: for data that are larger than memory."""

from collections.abc import Sequence

import numpy as np
import torch

from .frames import Frames, PackedFrames, runs
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
        self._sequences = _sequence_columns(dataset)
        self.size, self.resize, self.name = (size, size), resize, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = [int(row) for row in rows]
        arrays: dict[str, list] = {column: [] for column in self.columns}
        for row in rows:
            for column, array in self.decode(row).items():
                arrays[column].append(torch.from_numpy(array))
        return {column: torch.stack(values) for column, values in arrays.items()} | {"row": torch.tensor(rows)}

    def decode(self, row: int) -> dict[str, np.ndarray]:
        try:
            values = self.dataset[row]
        except (OSError, SyntaxError) as error:  # what PIL raises for truncated and broken files
            raise ValueError(f"Row {row} of {self.name} cannot be decoded: {error}.") from error
        return {column: self._frame(values[column], column, row) for column in self.columns}

    @property
    def sequences(self) -> torch.Tensor | None:
        """(N,) int64, or None if the dataset has no column that names a sequence."""
        if self._sequences is None:
            return None
        columns = self._sequences[:]
        place = columns.get("frame_index", columns.get("frame", range(len(self))))
        name = columns.get("sequence_id", columns.get("clip_id"))
        return runs(torch.from_numpy(np.unique(name, return_inverse=True)[1]), torch.as_tensor(place))

    def fingerprint(self) -> str:
        return f"{len(self)}-{self.dataset._fingerprint}"

    def select(self, count: int | None) -> "DatasetFrames":
        if count is None or count >= len(self):
            return self
        rows = [round(i * (len(self) - 1) / max(1, count - 1)) for i in range(count)]
        chosen = DatasetFrames(self.dataset.select(rows), self.size[0], self.resize, self.name)
        chosen._sequences = None if self._sequences is None else self._sequences.select(rows)
        return chosen

    def pack(self) -> PackedFrames:
        batches = [self.__getitems__(range(start, min(start + 1024, len(self)))) for start in range(0, len(self), 1024)]
        packed = {column: torch.cat([batch[column] for batch in batches]) for column in self.columns}
        return PackedFrames(packed["image"], packed.get("alpha"), self.name, self.sequences)

    def _frame(self, image, column: str, row: int) -> np.ndarray:
        try:
            return as_frame(image, 3 if column == "image" else 1, self.size[0], self.resize)
        except ValueError as error:
            raise ValueError(f"Row {row} of {self.name}, column {column!r}: {error}") from error


def _sequence_columns(dataset):
    """The columns of a dataset that say which frame follows which, or None if they are missing."""
    name = next((column for column in ("sequence_id", "clip_id") if column in dataset.column_names), None)
    place = next((column for column in ("frame_index", "frame") if column in dataset.column_names), None)
    return None if name is None else dataset.select_columns([name] + ([] if place is None else [place]))
