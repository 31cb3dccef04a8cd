"""Simulated plumes to look at: a contact sheet, and a short film of some of them side by side."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ...pictures import image_grid
from ..folder import write_atomically, write_contact_sheet
from .plan import Shard

SHEET_SIMULATIONS = {"train": 6, "validation": 2}
SHEET_TIMES = 4
FILM_COLUMNS, FILM_ROWS = 4, 2
FILM_FRAMES = 64
FILM_MILLISECONDS = 50
FILM_BYTES = 1_000_000
FILM_TILE = 128


def write_pictures(folder: Path, shards: list[Shard]) -> None:
    """`contact_sheet.png` and `animation.webp` from the shards in `folder`/data."""
    rows = []
    for split, count in SHEET_SIMULATIONS.items():
        for shard, seed in evenly([shard for shard in shards if shard.split == split], count):
            images, alphas = read_simulation(folder / "data" / shard.name, seed)
            times = np.linspace(0, len(images) - 1, SHEET_TIMES).round().astype(int)
            name = f"{split}, seed {seed}   frames {', '.join(map(str, times))}: image, alpha"
            rows.append((name, [picture for time in times for picture in (images[time], alphas[time])]))
    write_contact_sheet(folder / "contact_sheet.png", rows)
    chosen = evenly([shard for shard in shards if shard.split == "train"], FILM_COLUMNS * FILM_ROWS)
    films = [read_simulation(folder / "data" / shard.name, seed)[0] for shard, seed in chosen]
    write_atomically(folder / "animation.webp", _animation(films))


def evenly(shards: list[Shard], count: int) -> list[tuple[Shard, int]]:
    """At most `count` simulations, spread over the split."""
    pairs = [(shard, seed) for shard in shards for seed in shard.seeds]
    chosen = sorted(set(np.linspace(0, len(pairs) - 1, count).round().astype(int).tolist())) if pairs else []
    return [pairs[index] for index in chosen]


def read_simulation(path: Path, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames and alphas of one simulation of a shard."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=["image", "alpha"], filters=[("seed", "=", seed)]).to_pydict()
    images, alphas = (
        [np.array(Image.open(io.BytesIO(value["bytes"]))) for value in table[name]] for name in ("image", "alpha")
    )
    return images, alphas


def _animation(films: list[list[np.ndarray]]) -> bytes:
    """Films side by side as a looped WebP of less than `FILM_BYTES`; a shorter film stays at its last frame."""
    scale = FILM_TILE / len(films[0][0])
    frames = []
    for time in range(min(FILM_FRAMES, max(map(len, films)))):
        images = [film[min(time, len(film) - 1)] for film in films]
        rows = [images[i : i + FILM_COLUMNS] for i in range(0, len(images), FILM_COLUMNS)]
        frames.append(image_grid(rows, scale=scale, smooth=True))
    for quality in (80, 50, 20, 0):
        buffer = io.BytesIO()
        frames[0].save(
            buffer,
            format="WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=FILM_MILLISECONDS,
            loop=0,
            quality=quality,
        )
        if buffer.tell() < FILM_BYTES:
            break
    return buffer.getvalue()
