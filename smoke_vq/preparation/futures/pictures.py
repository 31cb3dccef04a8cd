"""Contact sheet of futures: the plume, three other members, and the spread of all members, by horizon."""

from pathlib import Path

import numpy as np

from ...layout import CONTACT_SHEET
from ...simulation import Futures
from ..folder import write_contact_sheet
from .divergence import horizons

SPREAD_GAIN = 4
_NUM_OTHERS = 3


def write_futures_sheet(folder: Path, futures: list[Futures]) -> None:
    """Write the contact sheet; its first column is the last observed frame."""
    rows = []
    for one in futures:
        columns = [horizon - 1 for horizon in horizons(one.image.shape[1])]
        ahead = ", ".join(str(column + 1) for column in columns)
        names = [f"seed {one.seed}, frame {one.start - 1}, and the plume {ahead} frames later (member 0)"]
        names += [f"member {member}" for member in range(1, len(one.image))]
        for name, frames in list(zip(names, one.image, strict=True))[: 1 + _NUM_OTHERS]:
            rows.append((name, [one.past_image[-1], *frames[columns]]))
        label = f"spread: standard deviation over {len(one.image)} members, times {SPREAD_GAIN}"
        rows.append((label, [np.zeros_like(one.past_alpha[-1]), *spread(one)[columns]]))
    write_contact_sheet(folder / CONTACT_SHEET, rows)


def spread(futures: Futures) -> np.ndarray:
    """Standard deviation over members of the mean of the channels, times `SPREAD_GAIN`, as (T, H, W) uint8."""
    deviation = futures.image.mean(axis=-1, dtype=np.float32).std(axis=0)
    return (SPREAD_GAIN * deviation).round().clip(0, 255).astype(np.uint8)
