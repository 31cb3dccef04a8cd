"""Chimneys in front of smoke: they are found in the mattes of a clip and filled by interpolation.

Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box

_MAX_OCCLUDER_WIDTH = 27
_MIN_OCCLUDED_ALPHA = 0.08


def find_occluders(alpha: np.ndarray) -> np.ndarray:
    """Find pixels without smoke that have smoke close by on both sides: (T, H, W) -> (H, W), 0 or 1.

    There, the mean alpha of the clip is less than half of its morphological closing by a row of pixels.
    """
    import cv2

    mean = box(alpha.mean(0), 1)
    closed = cv2.morphologyEx(mean, cv2.MORPH_CLOSE, np.ones((1, _MAX_OCCLUDER_WIDTH), np.uint8))
    hidden = ((mean < 0.5 * closed) & (closed > _MIN_OCCLUDED_ALPHA)).astype(np.uint8)
    hidden = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 1), np.uint8))
    return cv2.dilate(hidden, np.ones((3, 3), np.uint8))


def fill_occluders(stack: np.ndarray, occluders: np.ndarray) -> np.ndarray:
    """Interpolate (T, H, W) or (T, H, W, C) along rows across occluders (H, W), then smooth to hide the rows."""
    if not occluders.any():
        return stack
    filled = stack.copy()
    for row in np.flatnonzero(occluders.any(1)):
        edges = np.flatnonzero(np.diff(np.pad(occluders[row], 1).astype(np.int8)))
        for left, right in zip(edges[::2] - 1, edges[1::2], strict=True):
            if left >= 0 and right < stack.shape[2]:
                step = np.arange(1, right - left, dtype=np.float32) / (right - left)
                step = step.reshape(-1, *[1] * (stack.ndim - 3))
                ends = stack[:, row, left, None], stack[:, row, right, None]
                filled[:, row, left + 1 : right] = (1 - step) * ends[0] + step * ends[1]
    smooth = box(filled, 3) if filled.ndim == 4 else np.stack([box(frame, 3) for frame in filled])
    return np.where(occluders.astype(bool).reshape(occluders.shape + (1,) * (stack.ndim - 3)), smooth, filled)
