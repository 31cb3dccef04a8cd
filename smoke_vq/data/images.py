"""Conversion of one frame, of any supported type, to a uint8 array of the right size."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..limits import check_image_size


def as_frame(image, channels: int, size: int, do_resize: bool) -> np.ndarray:
    """Return a PIL image, array or tensor as (size, size, 3) or, for one channel, (size, size) uint8.

    Three channels of a grey image, mode L or (H, W), are equal.

    Raises:
        ValueError: another type or number of channels or, without `do_resize`, another size.
    """
    mode, shape, last_axes = {3: ("RGB", "(H, W, 3)", (3,)), 1: ("L", "(H, W)", ())}[channels]
    if isinstance(image, Image.Image) and image.mode not in (mode, "L"):
        raise ValueError(f"Expected {mode} images, found one of mode {image.mode}.")
    if isinstance(image, Image.Image):
        check_image_size(image.width, image.height, "An image")
    array = np.asarray(image)
    if channels == 3 and array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim < 2 or array.shape[2:] != last_axes:
        raise ValueError(f"Expected {shape} uint8 images, found {array.dtype} of shape {array.shape}.")
    if 0 in array.shape:
        raise ValueError(f"Expected {shape} uint8 images of at least one pixel, found shape {array.shape}.")
    check_image_size(array.shape[1], array.shape[0], "An image")
    if array.shape[:2] == (size, size):
        return np.array(array)  # a copy: PIL's memory is read-only
    if not do_resize:
        raise ValueError(
            f"Expected frames of {size}x{size}, found {array.shape[1]}x{array.shape[0]} (resizing is not enabled)."
        )
    return _resize(np.array(array), size)


def _resize(array: np.ndarray, size: int) -> np.ndarray:
    """(H, W[, C]) uint8 to (size, size[, C]) uint8: area averaging to make it smaller, bicubic to make it larger."""
    planes = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)[None].float()
    larger = min(array.shape[:2]) < size
    planes = F.interpolate(planes, (size, size), mode="bicubic" if larger else "area", antialias=larger)
    resized = planes[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return resized.reshape(resized.shape[: array.ndim])
