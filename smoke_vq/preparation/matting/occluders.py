"""Chimneys in front of smoke: found in a clip's mattes, and filled from both sides.

Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box

MAX_OCCLUDER_WIDTH = 27
MIN_OCCLUDED_ALPHA = 0.08


def find_occluders(alpha: np.ndarray) -> np.ndarray:
    """Chimneys in front of smoke, (T, H, W) -> (H, W) of 0 or 1: never smoky, with smoke close on both sides.

    They are where a closing by a row of pixels would lift the clip's mean alpha most of the way.
    """
    import cv2

    mean = box(alpha.mean(0), 1)
    closed = cv2.morphologyEx(mean, cv2.MORPH_CLOSE, np.ones((1, MAX_OCCLUDER_WIDTH), np.uint8))
    hidden = ((mean < 0.5 * closed) & (closed > MIN_OCCLUDED_ALPHA)).astype(np.uint8)
    hidden = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 1), np.uint8))
    return cv2.dilate(hidden, np.ones((3, 3), np.uint8))


def fill_occluders(stack: np.ndarray, occluders: np.ndarray) -> np.ndarray:
    """Interpolate (T, H, W) or (T, H, W, C) along rows across the occluders (H, W); smoothed, or rows would show."""
    filled = stack.copy()
    for row in np.flatnonzero(occluders.any(1)):
        edges = np.flatnonzero(np.diff(np.pad(occluders[row], 1).astype(np.int8)))
        for left, right in zip(edges[::2] - 1, edges[1::2], strict=True):
            if left >= 0 and right < stack.shape[2]:
                step = np.arange(1, right - left, dtype=np.float32) / (right - left)
                step = step.reshape(-1, *[1] * (stack.ndim - 3))
                ends = stack[:, row, left, None], stack[:, row, right, None]
                filled[:, row, left + 1 : right] = (1 - step) * ends[0] + step * ends[1]
    smooth = np.stack([box(frame, 3) for frame in filled])
    return np.where(occluders.astype(bool).reshape(occluders.shape + (1,) * (stack.ndim - 3)), smooth, filled)
