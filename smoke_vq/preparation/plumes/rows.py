"""Rows of a dataset of simulated plumes: the seeds of each split, the columns, and the space that they need."""

import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ...simulation import PlumeParameters, PlumeSettings, Recording
from ..folder import frame_features, png

TRAIN_SEED = 0
VALIDATION_SEED = 1_000_000_000
# torch's CPU generator uses only the low 32 bits of a seed, and the noise of a plume is drawn from seed + 1.
LAST_SEED = 2**32 - 2
_DTYPES = {int: "int64", float: "float64"}
# Parquet bytes per pixel (image and alpha as PNG), measured and rounded up.
_BYTES_PER_PIXEL_ON_BLACK, _BYTES_PER_PIXEL_ON_IMAGE = 2, 5


def plume_seeds(num_train: int, num_validation: int, train_seed: int, validation_seed: int) -> dict[str, range]:
    """Seeds by split, one per simulation.

    Raises:
        ValueError: a number of simulations or a seed is out of range, or the splits share a seed.
    """
    seeds = {
        "train": range(train_seed, train_seed + num_train),
        "validation": range(validation_seed, validation_seed + num_validation),
    }
    for split, block in seeds.items():
        if block.start < 0 or block.stop - 1 > LAST_SEED:
            raise ValueError(f"The seeds of {split} start at {block.start}: expected seeds from 0 to {LAST_SEED}.")
    if num_train < 1 or num_validation < 0:
        raise ValueError(
            f"The number of simulations is {num_train} for train and {num_validation} for validation: "
            "expected at least 1 and 0."
        )
    train, validation = seeds.values()
    if validation and train.start < validation.stop and validation.start < train.stop:
        raise ValueError(
            f"The seeds of train ({train.start} to {train.stop - 1}) and validation ({validation.start} to "
            f"{validation.stop - 1}) overlap: expected no seed in both."
        )
    return {split: block for split, block in seeds.items() if block}


def plume_features():
    """The columns, as `datasets.Features`."""
    return frame_features({"sequence_id": "string", "frame": "int32", "seed": "int64", "params": parameter_dtypes()})


def parameter_dtypes() -> dict[str, str]:
    """The entries of the column `params`."""
    return {field.name: _DTYPES[field.type] for field in fields(PlumeParameters)}


def plume_rows(recording: Recording) -> Iterator[dict]:
    """One row per frame."""
    for frame, (image, alpha) in enumerate(zip(recording.image, recording.alpha, strict=True)):
        yield {
            "image": png(image),
            "alpha": png(alpha),
            "sequence_id": f"plume-{recording.seed:010d}",
            "frame": frame,
            "seed": recording.seed,
            "params": recording.params,
        }


def check_disk_space(folder: str | Path, num_frames: int, settings: PlumeSettings) -> None:
    """Check before the first simulation that the frames fit on the disk.

    Raises:
        OSError: the disk of `folder` has too little free space for the estimated size of the frames.
    """
    on_black = settings.background == "black"
    need = num_frames * settings.size**2 * (_BYTES_PER_PIXEL_ON_BLACK if on_black else _BYTES_PER_PIXEL_ON_IMAGE)
    free = shutil.disk_usage(next(path for path in Path(folder).absolute().parents if path.exists())).free
    if need > free:
        raise OSError(
            f"{num_frames} frames need about {need / 1e9:.1f} GB: the disk of '{folder}' has {free / 1e9:.1f} GB free."
        )
