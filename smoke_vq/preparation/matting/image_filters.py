"""Filters for images in [0, 1]: local mean, gradient and texture."""

import numpy as np


def box(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over windows of (2 radius + 1)^2 pixels, for images (H, W), (H, W, C) or (T, H, W, C)."""
    import cv2

    if image.ndim == 4:
        return np.stack([box(frame, radius) for frame in image])
    return cv2.blur(image, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)


def gradient(image: np.ndarray) -> np.ndarray:
    """Largest gradient of brightness in each 3x3 neighbourhood: (H, W, 3) -> (H, W), per pixel."""
    import cv2

    rows, columns = np.gradient(image.mean(-1))
    return cv2.dilate(np.hypot(rows, columns).astype(np.float32), np.ones((3, 3), np.uint8))


def texture(image: np.ndarray) -> np.ndarray:
    """Grey detail finer than 7 pixels: (..., H, W, 3) -> (..., H, W)."""
    return (image - box(image, 3)).mean(-1)
