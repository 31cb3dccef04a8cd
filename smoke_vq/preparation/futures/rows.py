"""Rows of a dataset of futures: one per frame, from `Futures` and back."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from ...simulation import Futures
from ..folder import decode_png, frame_features, png
from ..plumes.rows import parameter_dtypes


def futures_features():
    """The columns, as `datasets.Features`."""
    numbers = {"frame": "int32", "seed": "int64", "start": "int32", "member": "int32"}
    return frame_features({"sequence_id": "string", **numbers, "params": parameter_dtypes()})


def futures_rows(futures: Futures) -> Iterator[dict]:
    """One row per frame, sorted by member and time. Member 0 begins with the observed frames."""
    for member, (images, alphas) in enumerate(zip(futures.image, futures.alpha, strict=True)):
        first = futures.start
        if member == 0:
            first = 0
            images = np.concatenate([futures.past_image, images])
            alphas = np.concatenate([futures.past_alpha, alphas])
        for frame, (image, alpha) in enumerate(zip(images, alphas, strict=True), start=first):
            yield {
                "image": png(image),
                "alpha": png(alpha),
                "sequence_id": f"plume-{futures.seed:010d}-start-{futures.start:03d}-member-{member:03d}",
                "frame": frame,
                "seed": futures.seed,
                "start": futures.start,
                "member": member,
                "params": futures.params,
            }


def read_futures(path: str | Path) -> list[Futures]:
    """The futures in one Parquet file of a folder, one per plume and start."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    found = []
    for (seed, start), group in groupby(rows, key=lambda row: (row["seed"], row["start"])):
        group = list(group)
        image, alpha = (np.stack([decode_png(row[name]) for row in group]) for name in ("image", "alpha"))
        num_members = group[-1]["member"] + 1
        members = [frames[start:].reshape(num_members, -1, *frames.shape[1:]) for frames in (image, alpha)]
        found.append(Futures(seed, start, image[:start], alpha[:start], *members, params=group[0]["params"]))
    return found
