"""Simulated plumes as rows: which seeds belong to which split, and what a row holds."""

import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ...simulation import PlumeParameters, PlumeSettings, Recording
from ..folder import png

TRAIN_SEED = 0
VALIDATION_SEED = 1_000_000_000
# torch's CPU generator tells seeds apart by their low 32 bits, and the noise of a plume takes seed + 1.
LAST_SEED = 2**32 - 2
DTYPES = {int: "int64", float: "float64"}
# Parquet bytes of a pixel (image and alpha, as PNG): on black, and over a detailed picture; measured, rounded up.
BYTES_PER_PIXEL = {True: 2, False: 5}


def seed_blocks(num_train: int, num_validation: int, train_seed: int, validation_seed: int) -> dict[str, range]:
    """Seeds by split, one a simulation.

    Raises:
        ValueError: a block has no simulation or no such seeds, or the two have seeds in common.
    """
    blocks = {
        "train": range(train_seed, train_seed + num_train),
        "validation": range(validation_seed, validation_seed + num_validation),
    }
    for split, seeds in blocks.items():
        if seeds.start < 0 or seeds.stop - 1 > LAST_SEED:
            raise ValueError(f"The seeds of {split} start at {seeds.start}: expected 0 to {LAST_SEED}.")
    if num_train < 1 or num_validation < 0:
        raise ValueError(
            f"{num_train} simulations for train, {num_validation} for validation: expected at least 1 and 0."
        )
    train, validation = blocks.values()
    if validation and train.start < validation.stop and validation.start < train.stop:
        raise ValueError(
            f"The seeds of train ({train.start} to {train.stop - 1}) and of validation ({validation.start} to "
            f"{validation.stop - 1}) overlap: expected blocks with no seed in common."
        )
    return {split: seeds for split, seeds in blocks.items() if seeds}


def plume_features():
    """The columns of simulated plumes, as `datasets.Features`."""
    from datasets import Features, Image, Value

    return Features(
        {
            "image": Image(),
            "alpha": Image(),
            "sequence_id": Value("string"),
            "frame": Value("int32"),
            "seed": Value("int64"),
            "params": {field.name: Value(DTYPES[field.type]) for field in fields(PlumeParameters)},
        }
    )


def recording_rows(recording: Recording) -> Iterator[dict]:
    """One row a frame."""
    for frame, (image, alpha) in enumerate(zip(recording.image, recording.alpha, strict=True)):
        yield {
            "image": png(image),
            "alpha": png(alpha),
            "sequence_id": f"plume-{recording.seed:010d}",
            "frame": frame,
            "seed": recording.seed,
            "params": recording.params,
        }


def check_space(folder: str | Path, num_frames: int, settings: PlumeSettings) -> None:
    """Refuse before the first simulation what cannot be stored.

    Raises:
        OSError: the disk of `folder` has less room than so many frames need.
    """
    need = num_frames * settings.size**2 * BYTES_PER_PIXEL[settings.background == "black"]
    free = shutil.disk_usage(next(path for path in Path(folder).absolute().parents if path.exists())).free
    if need > free:
        raise OSError(
            f"{num_frames} frames need about {need / 1e9:.1f} GB: the disk of '{folder}' has {free / 1e9:.1f} GB free."
        )
