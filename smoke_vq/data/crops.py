"""Squares of frames where the smoke is, for a faster start of a training."""

import torch
import torch.nn.functional as F

STRIDE = 8  # pixels between the places of crops: the patch of a code


def smoke_crops(
    pixel_values: torch.Tensor, mask: torch.Tensor, size: int, uniforms: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One square of each frame, at a multiple of 8 pixels, drawn in proportion to `1 + s`, s its smoke in pixels.

    A square of half the side costs a quarter of the frame, and has more than a quarter of its smoke.

    Args:
        pixel_values: (B, C, H, W).
        mask: (B, 1, H, W) in [0, 1].
        size: side of the squares in pixels, at most H and W.
        uniforms: (B,) in [0, 1), which choose the places.

    Returns:
        Pixels (B, C, size, size) and mask (B, 1, size, size). Nothing waits for a GPU.
    """
    smoke = F.avg_pool2d(mask.float(), size, STRIDE)[:, 0] * size**2  # (B, rows, columns)
    ends = (1 + smoke).flatten(1).cumsum(dim=1)
    place = torch.searchsorted(ends, (uniforms * ends[:, -1])[:, None], right=True)[:, 0].clamp(max=ends.shape[1] - 1)
    row, column = place // smoke.shape[2], place % smoke.shape[2]
    batch = torch.arange(len(mask), device=mask.device)

    def crop(images: torch.Tensor) -> torch.Tensor:
        squares = images.unfold(2, size, STRIDE).unfold(3, size, STRIDE)  # (B, C, rows, columns, size, size), a view
        return squares[batch, :, row, column]

    return crop(pixel_values), crop(mask)
