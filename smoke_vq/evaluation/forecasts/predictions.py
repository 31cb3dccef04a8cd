"""Forecasts that somebody else made: an npz file, or a dataset folder with the columns of futures."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...layout import DATA
from ...pixels import to_pixel_values
from ...preparation.folder import decode_png
from .cases import ForecastCase

KEY = "prediction"
_COLUMNS = ["image", "seed", "start", "member", "frame"]


class Predictions:
    """Forecasts that were made before, looked up by case.

    Args:
        images: (N, S, T, H, W, 3) uint8, in the order of the cases.
    """

    def __init__(self, images: np.ndarray, cases: Sequence[ForecastCase]):
        self.images, self.place = images, {case.name: place for place, case in enumerate(cases)}

    def __call__(self, case: ForecastCase) -> torch.Tensor:
        """(S, T, 3, H, W) in [-1, 1]."""
        return to_pixel_values(torch.from_numpy(self.images[self.place[case.name]]))


def load_predictions(path: str | Path, cases: Sequence[ForecastCase]) -> Predictions:
    """Read forecasts of these cases.

    Args:
        path: an npz file whose `prediction` is (N, S, T, H, W, 3) uint8, in the order of the cases; or a folder with
            Parquet files in data/, whose rows have the columns image, seed, start, member and frame, as a folder of
            futures has. Rows of observed frames are ignored.

    Raises:
        ValueError: a damaged file, another shape or type, or a forecast that is missing.
        OSError: there is no such file.
    """
    path = Path(path)
    images = _read_folder(path, cases) if path.is_dir() else _read_npz(path)
    size, case = case_shape(cases), cases[0]
    if images.dtype != np.uint8 or images.ndim != 6 or images.shape[0] != len(cases) or images.shape[2:] != size:
        shape = ", ".join(map(str, (len(cases), "S", *size)))
        raise ValueError(
            f"{path} has predictions of shape {images.shape} and type {images.dtype}: expected ({shape}) uint8, for "
            f"{len(cases)} forecasts of {case.num_frames} frames."
        )
    if images.shape[1] == 0:
        raise ValueError(f"{path} has predictions without samples (S is 0): expected at least one.")
    return Predictions(images, cases)


def case_shape(cases: Sequence[ForecastCase]) -> tuple[int, ...]:
    """(T, H, W, 3) of a predicted member."""
    return cases[0].futures.shape[1:]


def _read_npz(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"There are no predictions at {path}: expected an npz file or a dataset folder.")
    try:
        with np.load(path) as file:
            if KEY not in file:
                raise ValueError(f"{path} has no array {KEY!r}: found {sorted(file)}.")
            return file[KEY]
    except (zipfile.BadZipFile, EOFError, TypeError) as error:
        raise ValueError(f"{path} is damaged or not an npz file.") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is damaged or not an npz file: {error}") from error


def _read_folder(folder: Path, cases: Sequence[ForecastCase]) -> np.ndarray:
    import pyarrow.parquet

    frames: dict[tuple[str, int, int], np.ndarray] = {}
    for path in sorted((folder / DATA).glob("*.parquet")):
        file = pyarrow.parquet.ParquetFile(path)
        if missing := [name for name in _COLUMNS if name not in file.schema_arrow.names]:
            raise ValueError(f"{path} has no column {missing[0]!r}: expected {', '.join(_COLUMNS)}.")
        for row in file.read(_COLUMNS).to_pylist():
            if row["frame"] >= row["start"]:
                name = f"seed {row['seed']}, start {row['start']}"
                frames[name, row["member"], row["frame"] - row["start"]] = decode_png(row["image"])
    if not frames:
        raise FileNotFoundError(f"{folder} has no predicted frames in {DATA}/*.parquet.")
    members = sorted({member for _, member, _ in frames})
    shape = case_shape(cases)
    images = np.empty((len(cases), len(members), *shape), dtype=np.uint8)
    for n, case in enumerate(cases):
        for s, member in enumerate(members):
            for t in range(shape[0]):
                frame = frames.get((case.name, member, t))
                if frame is None:
                    raise ValueError(f"{folder} has no frame {t + 1} of member {member} for {case.name}.")
                if frame.shape != shape[1:]:
                    raise ValueError(f"{folder} has a frame of shape {frame.shape}: expected {shape[1:]}.")
                images[n, s, t] = frame
    return images
