"""Test sets for forecasts: a folder of futures of simulated plumes, or any dataset of sequences."""

import io
from pathlib import Path

import numpy as np

from ...data.frames import Frames
from ...data.sources import load_frames
from ...layout import CARD, DATA
from ...preparation.folder import write_atomically
from ...preparation.futures.rows import read_futures
from ...preparation.settings import read_settings
from .cases import ForecastCase, check_cases

MIN_PAST = 4  # observed frames of a forecast in a dataset of sequences


def is_futures_folder(name: str) -> bool:
    """Whether `name` is a folder that `simulate_plumes.py --futures` wrote or started."""
    return "starts" in (read_settings(name) or {})


def load_test_set(
    name: str,
    split: str = "validation",
    size: int = 64,
    num_frames: int = 16,
    max_groups: int | None = None,
    min_past: int = MIN_PAST,
) -> list[ForecastCase]:
    """The forecasts to make on a folder of futures or on one split of a dataset with sequences.

    Args:
        split, size, num_frames, min_past: of a dataset of sequences (see `sequence_cases`); a folder of futures has its
            own.
        max_groups: use the first plumes or clips only.

    Raises:
        ValueError: the folder is incomplete, damaged or has frames of different sizes, or the dataset's clips are
            unknown or too short.
        OSError: there is no such dataset.
    """
    if is_futures_folder(name):
        cases = read_futures_folder(Path(name), max_groups)
    else:
        cases = sequence_cases(load_frames(name, split, size), num_frames, max_groups, min_past)
    return check_cases(cases, name)


def read_futures_folder(folder: Path, max_plumes: int | None = None) -> list[ForecastCase]:
    """A forecast for each plume and start, sorted by both."""
    settings, paths = read_settings(folder, {"num_plumes": int}), sorted((folder / DATA).glob("*.parquet"))
    if not (folder / CARD).is_file() or len(paths) != settings["num_plumes"]:
        raise ValueError(
            f"{folder} is incomplete ({len(paths)} of {settings['num_plumes']} plumes): continue it with the command "
            f"that started it."
        )
    return [
        ForecastCase(f"seed {one.seed}, start {one.start}", str(one.seed), one.past_image, one.image)
        for path in paths[:max_plumes]
        for one in read_futures(path)
    ]


def sequence_cases(
    frames: Frames, num_frames: int = 16, max_clips: int | None = None, min_past: int = MIN_PAST
) -> list[ForecastCase]:
    """Forecasts of T frames in each clip that is long enough: after `min_past` frames, and again every T frames.

    All earlier frames of the clip are observed. What happened is the only future.

    Raises:
        ValueError: unknown sequences, or clips that are all too short.
    """
    if frames.sequences is None:
        raise ValueError(
            f"{frames.name} does not say which frames follow each other: forecasts need the columns sequence_id and "
            f"frame (or clip_id and frame_index), or packed frames with sequences."
        )
    _, lengths = frames.sequences.unique_consecutive(return_counts=True)
    if int(lengths.max()) < min_past + num_frames:
        raise ValueError(
            f"The longest clip of {frames.name} has {int(lengths.max())} frames: expected {min_past} observed frames "
            f"and {num_frames} to predict."
        )
    cases, first, clips = [], 0, 0
    for length in lengths.tolist():
        if length >= min_past + num_frames and (max_clips is None or clips < max_clips):
            images = frames.__getitems__(range(first, first + length))["image"].numpy()
            for start in range(min_past, length - num_frames + 1, num_frames):
                name = f"frames from {first} on, start {start}"
                cases.append(ForecastCase(name, str(first), images[:start], images[None, start : start + num_frames]))
            clips += 1
        first += length
    return cases


def write_observed(cases: list[ForecastCase], path: Path) -> None:
    """Write what a forecaster may see, as a compressed npz file.

    frames: (sum of P, H, W, 3) uint8, the observed frames of all forecasts, one after another.
    num_observed: (N,) int64, P of each forecast.
    num_frames: the number of frames to predict, T.
    name: (N,) what each forecast is of.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        frames=np.concatenate([case.past for case in cases]),
        num_observed=np.array([len(case.past) for case in cases]),
        num_frames=np.array(cases[0].num_frames),
        name=np.array([case.name for case in cases]),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
