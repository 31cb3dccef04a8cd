"""Losses run in float32, whatever mixed precision hands them."""

import torch


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """float32 for half precision; float32 and float64 as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
