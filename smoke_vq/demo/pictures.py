"""Pictures of the demo: enlarged frames, and codes as coloured cells that can be clicked."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..pictures import fitting_scale, image_grid

SIDE = 320  # pixels of a picture
_LEAST_CELL = 36  # pixels of a cell that has room for a number of four digits
_PALETTE_COLUMNS, _PALETTE_CELL = 16, 40
_CHANGED = (255, 255, 255)


def enlarged(frame: np.ndarray) -> Image.Image:
    """(S, S, 3) uint8 to SIDE x SIDE, by repeating pixels."""
    return Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def code_grid(codes: np.ndarray, colours: np.ndarray, changed: np.ndarray | None = None) -> Image.Image:
    """The codes (h, w) of a frame as cells of their colours (K, 3), with their numbers if there is room.

    Cells where `changed` (h, w) is true have a white frame.
    """
    rows, columns = codes.shape
    return _cells(codes, colours, (SIDE / rows, SIDE / columns), (SIDE, SIDE), changed)


def palette(codes: Sequence[int], colours: np.ndarray) -> Image.Image:
    """Codes as cells with their numbers, row by row."""
    rows = -(-len(codes) // _PALETTE_COLUMNS)
    grid = np.full(rows * _PALETTE_COLUMNS, -1)
    grid[: len(codes)] = codes
    size = (_PALETTE_COLUMNS * _PALETTE_CELL, rows * _PALETTE_CELL)
    return _cells(grid.reshape(rows, -1), colours, (_PALETTE_CELL, _PALETTE_CELL), size)


def palette_code(codes: Sequence[int], x: float, y: float) -> int | None:
    """The code at a point of the picture of `palette`, or None where there is none."""
    place = int(y // _PALETTE_CELL) * _PALETTE_COLUMNS + min(int(x // _PALETTE_CELL), _PALETTE_COLUMNS - 1)
    return codes[place] if 0 <= place < len(codes) else None


def grid_cell(shape: Sequence[int], x: float, y: float) -> tuple[int, int]:
    """The row and column of a cell at a point of the picture of `code_grid`."""
    rows, columns = shape
    return min(int(y * rows / SIDE), rows - 1), min(int(x * columns / SIDE), columns - 1)


def comparison_picture(names: Sequence[str], images: Sequence[np.ndarray]) -> Image.Image:
    """Frames side by side, with their names above."""
    return image_grid([list(images)], scale=fitting_scale(images[0], 200), column_labels=names)


def _cells(codes, colours, cell, size, changed=None) -> Image.Image:
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    height, width = cell
    font = ImageFont.load_default(size=13)
    for (row, column), code in np.ndenumerate(codes):
        if code < 0:
            continue
        colour, left, top = tuple(colours[code].tolist()), column * width, row * height
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
        if changed is not None and changed[row, column]:
            draw.rectangle((left, top, left + width - 1, top + height - 1), outline=_CHANGED, width=3)
        if min(cell) >= _LEAST_CELL:
            light = np.dot(colour, (0.299, 0.587, 0.114)) > 110
            text = (0, 0, 0) if light else (190, 190, 190)
            draw.text((left + width / 2, top + height / 2), str(code), fill=text, font=font, anchor="mm")
    return picture
