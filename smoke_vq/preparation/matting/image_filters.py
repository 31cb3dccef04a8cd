"""Filters for images in [0, 1]: local mean, gradient and texture."""

import numpy as np


def box(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over windows of (2 radius + 1)^2 pixels, for images (H, W), (H, W, C) or (T, H, W, C)."""
    import cv2

    window = (2 * radius + 1, 2 * radius + 1)
    if image.ndim < 4:
        return cv2.blur(image, window, borderType=cv2.BORDER_REFLECT_101)
    mean = np.empty(image.shape, image.dtype)  # contiguous, or OpenCV would write to a copy
    for frame, out in zip(image, mean, strict=True):
        cv2.blur(frame, window, dst=out, borderType=cv2.BORDER_REFLECT_101)
    return mean


# NumPy reduces a last axis of 3 one pixel at a time. These have the same bits in a fifth of the time.


def grey(image: np.ndarray) -> np.ndarray:
    """Mean of the channels, `image.mean(-1)`: (..., 3) -> (...)."""
    return (image[..., 0] + image[..., 1] + image[..., 2]) / 3


def length(image: np.ndarray) -> np.ndarray:
    """Euclidean length of the colours, `np.linalg.norm(image, axis=-1)`: (..., 3) -> (...)."""
    square = image * image
    return np.sqrt(square[..., 0] + square[..., 1] + square[..., 2])


def brightest(image: np.ndarray) -> np.ndarray:
    """Largest channel, `image.max(-1)`: (..., 3) -> (...)."""
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def gradient(image: np.ndarray) -> np.ndarray:
    """Largest gradient of brightness in each 3x3 neighbourhood: (H, W, 3) -> (H, W), per pixel."""
    import cv2

    rows, columns = np.gradient(grey(image))
    return cv2.dilate(np.hypot(rows, columns).astype(np.float32), np.ones((3, 3), np.uint8))


def texture(image: np.ndarray) -> np.ndarray:
    """Grey detail finer than 7 pixels: (..., H, W, 3) -> (..., H, W)."""
    return grey(image - box(image, 3))
