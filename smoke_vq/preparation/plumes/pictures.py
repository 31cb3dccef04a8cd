"""Pictures of simulated plumes: a contact sheet, and an animation of a few plumes side by side."""

import io
from pathlib import Path

import numpy as np

from ...layout import ANIMATION, CONTACT_SHEET, DATA
from ...pictures import image_grid
from ..folder import decode_png, evenly_spaced, write_atomically, write_contact_sheet
from .plan import PlumeShard

_SHEET_SIMULATIONS = {"train": 6, "validation": 2}
_SHEET_FRAMES = 4
_ANIMATION_COLUMNS, _ANIMATION_ROWS = 4, 2
_ANIMATION_FRAMES = 64
_ANIMATION_TILE = 128  # pixels
_ANIMATION_BYTES = 1_000_000
_FRAME_MILLISECONDS = 50


def write_plume_pictures(folder: Path, shards: list[PlumeShard]) -> None:
    """Write the contact sheet and the animation from the shards in `folder / "data"`."""
    simulations = [(shard, seed) for shard in shards for seed in shard.seeds]
    rows = []
    for split, count in _SHEET_SIMULATIONS.items():
        for shard, seed in evenly_spaced([pair for pair in simulations if pair[0].split == split], count):
            images, alphas = _read_simulation(folder / DATA / shard.name, seed)
            times = np.linspace(0, len(images) - 1, _SHEET_FRAMES).round().astype(int)
            label = f"{split}, seed {seed}   frames {', '.join(map(str, times))}: image, alpha"
            rows.append((label, [image for time in times for image in (images[time], alphas[time])]))
    write_contact_sheet(folder / CONTACT_SHEET, rows)
    train = [pair for pair in simulations if pair[0].split == "train"]
    chosen = evenly_spaced(train, _ANIMATION_COLUMNS * _ANIMATION_ROWS)
    plumes = [_read_simulation(folder / DATA / shard.name, seed)[0] for shard, seed in chosen]
    write_atomically(folder / ANIMATION, _animation(plumes))


def _read_simulation(path: Path, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames and alphas of one simulation in a shard."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=["image", "alpha"], filters=[("seed", "=", seed)]).to_pydict()
    images, alphas = ([decode_png(value) for value in table[name]] for name in ("image", "alpha"))
    return images, alphas


def _animation(plumes: list[list[np.ndarray]]) -> bytes:
    """Plumes side by side as a looped WebP below `_ANIMATION_BYTES`; a shorter plume stays at its last frame."""
    scale = _ANIMATION_TILE / len(plumes[0][0])
    frames = []
    for time in range(min(_ANIMATION_FRAMES, max(map(len, plumes)))):
        images = [plume[min(time, len(plume) - 1)] for plume in plumes]
        rows = [images[i : i + _ANIMATION_COLUMNS] for i in range(0, len(images), _ANIMATION_COLUMNS)]
        frames.append(image_grid(rows, scale=scale, smooth=True))
    options = dict(save_all=True, append_images=frames[1:], duration=_FRAME_MILLISECONDS, loop=0)
    for quality in (80, 50, 20, 0):
        buffer = io.BytesIO()
        frames[0].save(buffer, format="WEBP", quality=quality, **options)
        if buffer.tell() < _ANIMATION_BYTES:
            break
    return buffer.getvalue()
