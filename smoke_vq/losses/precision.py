"""Losses are computed in float32 or float64, also under mixed precision."""

import torch


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Convert half precision to float32; keep float32 and float64."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
