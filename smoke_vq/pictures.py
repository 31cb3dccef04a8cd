"""Rows of frames as one picture, to look at."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 2  # pixels between frames, after scaling
GREY = 40


def picture(rows: list[np.ndarray], labels: list[str] | None = None, scale: int = 2) -> Image.Image:
    """Lay out rows of frames under each other, each with its label on the left.

    Args:
        rows: arrays (N, H, W, 3), uint8.
        labels: one a row.
        scale: each pixel becomes scale x scale (nearest neighbour: no smoothing flatters the frames).
    """
    height, width = rows[0].shape[1:3]
    font = ImageFont.load_default(size=max(14, 7 * scale))
    margin = 0 if labels is None else 10 + max(math.ceil(font.getlength(label)) for label in labels)
    columns = max(len(row) for row in rows)
    canvas = Image.new(
        "RGB", (margin + columns * (width * scale + GAP) - GAP, len(rows) * (height * scale + GAP) - GAP), (GREY,) * 3
    )
    draw = ImageDraw.Draw(canvas)
    for i, row in enumerate(rows):
        top = i * (height * scale + GAP)
        if labels is not None:
            draw.text((4, top + height * scale // 2), labels[i], fill=(230,) * 3, font=font, anchor="lm")
        for j, frame in enumerate(row):
            tile = Image.fromarray(frame).resize((width * scale, height * scale), Image.NEAREST)
            canvas.paste(tile, (margin + j * (width * scale + GAP), top))
    return canvas


def error_map(sample: np.ndarray, target: np.ndarray, gain: float = 4.0) -> np.ndarray:
    """Absolute error averaged over channels, times `gain`, as grey frames: (N, H, W, 3) uint8 in and out."""
    error = np.abs(sample.astype(np.float32) - target.astype(np.float32)).mean(axis=3, keepdims=True)
    return np.repeat((error * gain).clip(0, 255).astype(np.uint8), 3, axis=3)
