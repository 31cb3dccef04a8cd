"""Small filters of images in [0, 1]: local mean, steepness, texture."""

import numpy as np


def box(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a (2 radius + 1)^2 window, for (H, W), (H, W, C) or, frame by frame, (T, H, W, C)."""
    import cv2

    if image.ndim == 4:
        return np.stack([box(frame, radius) for frame in image])
    return cv2.blur(image, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)


def gradient(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W): brightness change per pixel, the largest of a 3x3 neighbourhood."""
    import cv2

    rows, columns = np.gradient(image.mean(-1))
    return cv2.dilate(np.hypot(rows, columns).astype(np.float32), np.ones((3, 3), np.uint8))


def texture(image: np.ndarray) -> np.ndarray:
    """(..., H, W, 3) -> (..., H, W): grey detail finer than 7 pixels."""
    return (image - box(image, 3)).mean(-1)
