"""Grids of frames as one image."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 2  # pixels between frames, after scaling
_BACKGROUND, _TEXT = (40,) * 3, (230,) * 3
_CODE_SATURATION = 0.7


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[str] | None = None,
    scale: float = 2,
    labels_above: bool = False,
    smooth: bool = False,
    column_labels: Sequence[str] | None = None,
) -> Image.Image:
    """Arrange rows of frames in a grid, with an optional label per row.

    Args:
        rows: one array (N, H, W, 3) per row, or a list of N frames (H, W, 3) or (H, W); uint8. All frames have the
            same size; rows may differ in length.
        labels: one label per row.
        scale: factor by which height and width of the frames are multiplied.
        labels_above: place each label above its row instead of to the left of it.
        smooth: resize by bicubic interpolation instead of nearest neighbour.
        column_labels: one label above each column.
    """
    height, width = (round(scale * size) for size in rows[0][0].shape[:2])
    font = ImageFont.load_default(size=14 if labels_above else max(14, 7 * scale))
    left = top = 0
    if labels is not None and labels_above:
        top = 20
    elif labels is not None:
        left = 10 + max(math.ceil(font.getlength(label)) for label in labels)
    columns = max(len(row) for row in rows)
    head = 0 if column_labels is None else 24
    size = (left + columns * (width + _GAP) - _GAP, head + len(rows) * (top + height + _GAP) - _GAP)
    grid = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(grid)
    for j, label in enumerate(column_labels or []):
        middle = left + j * (width + _GAP) + width // 2
        draw.text((middle, head // 2), label, fill=_TEXT, font=ImageFont.load_default(size=14), anchor="mm")
    for i, row in enumerate(rows):
        y = head + i * (top + height + _GAP)
        if labels is not None:
            middle = y + (top if labels_above else height) // 2
            draw.text((4, middle), labels[i], fill=_TEXT, font=font, anchor="lm")
        for j, frame in enumerate(row):
            method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
            tile = Image.fromarray(frame).convert("RGB").resize((width, height), method)
            grid.paste(tile, (left + j * (width + _GAP), y + top))
    return grid


def fitting_scale(frame: np.ndarray, pixels: int) -> int:
    """The largest whole factor by which a frame (H, W, ...) has at most `pixels` of height; at least 1."""
    return max(1, pixels // len(frame))


def error_map(sample: np.ndarray, target: np.ndarray, gain: float = 4.0) -> np.ndarray:
    """Absolute error averaged over channels, times `gain`, as grey frames: (N, H, W, 3) uint8 in and out."""
    error = np.abs(sample.astype(np.float32) - target.astype(np.float32)).mean(axis=3, keepdims=True)
    return np.repeat((error * gain).clip(0, 255).astype(np.uint8), 3, axis=3)


def code_colours(embeddings: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A colour for each code, (K, 3) uint8, so that similar codes have similar colours.

    Codes near that of the background are dark: the value of a colour is the rank of the code by its distance from
    `background` (D,), and its hue the direction from there in the plane of the first two principal components of
    `embeddings` (K, D).
    """
    difference = embeddings - background
    value = np.linalg.norm(difference, axis=1).argsort().argsort() / max(len(embeddings) - 1, 1)
    *_, axes = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)
    plane = difference @ axes[:2].T
    hue = np.arctan2(plane[:, -1], plane[:, 0]) / (2 * np.pi) % 1
    colours = np.stack([hue, np.full_like(hue, _CODE_SATURATION), value], axis=1)
    hsv = Image.fromarray((255 * colours).round().astype(np.uint8)[None], mode="HSV")
    return np.asarray(hsv.convert("RGB"))[0]
