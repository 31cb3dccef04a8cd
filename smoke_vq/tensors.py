"""Checks of tensors that a caller passes."""

from typing import Any

import torch


def check_maps(tensor: Any, what: str, channels: int, axes: str = "h, w", advice: str = "") -> None:
    """Refuse anything but a floating tensor (B, `channels`, h, w) of at least one value.

    It costs nothing in a compiled step, which knows type, dtype and shape.

    Args:
        what: what the tensor holds, for the error message.
        axes: the last two axes, for the error message.
        advice: how to make such a tensor, for the error message.

    Raises:
        ValueError: says what was found.
    """
    advice = advice and f" ({advice})"
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"Expected {what} as a torch.Tensor, found {type(tensor).__name__}{advice}.")
    if tensor.ndim != 4 or tensor.shape[1] != channels:
        raise ValueError(f"Expected {what} of shape (B, {channels}, {axes}), found {tuple(tensor.shape)}{advice}.")
    if not tensor.is_floating_point():
        found = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"Expected {what} of a floating dtype, found {found}{advice}.")
    if 0 in tensor.shape:
        raise ValueError(f"Expected {what} of at least one sample, found {tuple(tensor.shape)}{advice}.")
