"""Strips of frames: the truth, the members and the spread of one forecast."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ....pictures import image_grid
from ....pixels import DATA_RANGE, to_images
from ....preparation.futures.divergence import horizons
from ..cases import ForecastCase
from ..row import Row

SPREAD_GAIN = 4
_NUM_MEMBERS = 3
_SCALE = 2


def draw_strip(row: Row, case: ForecastCase) -> Image.Image:
    """The last observed frame and frames 1, 2, 4, 8 and 16 ahead; the spread, and below it the true one if known."""
    columns = [ahead - 1 for ahead in horizons(case.num_frames)]
    members = row.predict(case).float().cpu()
    lines = {"truth": _after(case, case.future_values[0, columns])}
    lines["mean"] = _after(case, members.mean(dim=0)[columns])
    for number, member in enumerate(members[:_NUM_MEMBERS], start=1):
        lines[f"member {number}"] = _after(case, member[columns])
    lines[f"spread x{SPREAD_GAIN}"] = _blank(case) + list(spread_picture(spread(members)[columns]))
    if len(case.futures) > 2:
        lines[f"true spread x{SPREAD_GAIN}"] = _blank(case) + list(spread_picture(spread(case.future_values)[columns]))
    return _grid(lines, columns)


def draw_comparison(rows: Sequence[Row], case: ForecastCase) -> Image.Image:
    """The truth, and the first member of each row."""
    columns = [ahead - 1 for ahead in horizons(case.num_frames)]
    lines = {"truth": _after(case, case.future_values[0, columns])}
    for row in rows:
        lines[row.name] = _after(case, row.predict(case)[0, columns].float().cpu())
    return _grid(lines, columns)


def spread(members: torch.Tensor) -> torch.Tensor:
    """Standard deviation over members of the mean of the channels, (S, T, C, H, W) to (T, H, W)."""
    return members.mean(dim=2).std(dim=0)


def spread_picture(deviation: torch.Tensor) -> np.ndarray:
    """(T, H, W) in units of [-1, 1] to grey frames, times `SPREAD_GAIN`: (T, H, W) uint8."""
    return (SPREAD_GAIN * deviation * 255 / DATA_RANGE).round().clamp(0, 255).to(torch.uint8).numpy()


def file_name(name: str) -> str:
    """The name of a row as a part of a file name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _grid(lines: dict[str, list[np.ndarray]], columns: list[int]) -> Image.Image:
    labels = ["last observed", *(f"{column + 1} ahead" for column in columns)]
    return image_grid(list(lines.values()), list(lines), scale=_SCALE, column_labels=labels)


def _after(case: ForecastCase, frames: torch.Tensor) -> list[np.ndarray]:
    return [case.past[-1], *to_images(frames).numpy()]


def _blank(case: ForecastCase) -> list[np.ndarray]:
    return [np.zeros(case.past.shape[1:3], dtype=np.uint8)]
