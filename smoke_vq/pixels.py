"""The pixel range: uint8 outside the library, float32 in [-1, 1] inside. No other file knows these numbers."""

import numpy as np
import torch

BLACK, WHITE = -1.0, 1.0
DATA_RANGE = WHITE - BLACK
RANGE_TOLERANCE = 0.01  # of decoded pixels in half precision
SMOKE_THRESHOLD = -0.99  # without an alpha, a pixel is smoke where any channel of the target is above this
BRIGHTEST_BLACK = int((SMOKE_THRESHOLD - BLACK) * 127.5)  # the largest uint8 value that is not smoke


def to_pixel_values(images: torch.Tensor, grey: bool = False) -> torch.Tensor:
    """(..., H, W, C) uint8 to (..., C, H, W) float32 in [-1, 1], or (..., 1, H, W), the mean of the channels."""
    return from_planes(to_planes(images), grey)


def from_planes(planes: torch.Tensor, grey: bool = False) -> torch.Tensor:
    """(..., C, H, W) uint8 to float32 in [-1, 1], or (..., 1, H, W), the mean of the channels."""
    if planes.device.type == "cpu":  # numpy converts while it divides
        scaled = np.divide(planes.numpy(), np.float32(127.5))
        values = torch.from_numpy(np.subtract(scaled, np.float32(1), out=scaled))
    else:
        values = planes.float().div_(127.5).sub_(1)
    return values.mean(dim=-3, keepdim=True) if grey else values


def to_planes(images: torch.Tensor, mirror: torch.Tensor | None = None) -> torch.Tensor:
    """(..., H, W, C) uint8 to (..., C, H, W) uint8, contiguous.

    Args:
        mirror: (B,) bool, which of the first axis to mirror left and right; None mirrors nothing.
    """
    if images.device.type == "cpu":  # numpy moves and mirrors bytes in less than half the time of torch
        planes = np.moveaxis(images.numpy(), -1, -3)
        if mirror is None:
            return torch.from_numpy(np.ascontiguousarray(planes))
        chosen = np.empty(planes.shape, planes.dtype)
        for i, mirrored in enumerate(mirror.tolist()):
            chosen[i] = planes[i, ..., ::-1] if mirrored else planes[i]
        return torch.from_numpy(chosen)
    planes = images.movedim(-1, -3)
    if mirror is not None:
        mirror = mirror.to(images.device, non_blocking=True).view(-1, *[1] * (images.ndim - 1))
        planes = torch.where(mirror, planes.flip(-1), planes)
    return planes.contiguous()


def to_images(pixel_values: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W), C of 1 or 3, to (..., H, W, 3) uint8: clamped and rounded. The inverse of `to_pixel_values`."""
    images = clamp(pixel_values.detach().float()).add(1).mul(127.5).round().to(torch.uint8)
    return to_rgb(images).movedim(-3, -1)


def to_rgb(pixel_values: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W), C of 1 or 3, to (..., 3, H, W): grey is repeated."""
    return pixel_values.expand(*pixel_values.shape[:-3], 3, -1, -1)


def to_unit(pixel_values: torch.Tensor) -> torch.Tensor:
    """[-1, 1] to [0, 1], any shape."""
    return pixel_values / 2 + 0.5


def from_unit(values: torch.Tensor) -> torch.Tensor:
    """[0, 1] to [-1, 1], any shape."""
    return 2 * values - 1


def clamp(pixel_values: torch.Tensor) -> torch.Tensor:
    """Limit to [-1, 1], any shape."""
    return pixel_values.clamp(BLACK, WHITE)


def check_range(pixel_values: torch.Tensor) -> None:
    """Refuse pixels outside [-1, 1] and NaN, any shape of at least one pixel. Waits for the device.

    Raises:
        ValueError: with the smallest and largest value.
    """
    low, high = torch.stack(pixel_values.detach().aminmax()).tolist()
    if not (low >= BLACK - RANGE_TOLERANCE and high <= WHITE + RANGE_TOLERANCE):  # also refuses NaN
        raise ValueError(
            f"Expected pixel_values in [-1, 1], found {low:.3g} to {high:.3g} (SmokeImageProcessor converts images)."
        )


def smoke_mask(pixel_values: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W) to (..., 1, H, W) bool: True where any channel is brighter than the threshold."""
    return pixel_values.amax(dim=-3, keepdim=True) > SMOKE_THRESHOLD


def smoke_of_planes(planes: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W) uint8 to (..., 1, H, W) uint8: 1 where `smoke_mask` is True, in a fifth of its time."""
    return planes.amax(dim=-3, keepdim=True).gt_(BRIGHTEST_BLACK)


def smoke_alpha(images: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 to (..., H, W) uint8: `smoke_mask` as an alpha of 0 or 255."""
    return smoke_of_planes(to_planes(images)).squeeze(-3) * 255
