"""float64 where the device has it: the GPU of a Mac has none."""

import torch

_WITH_FLOAT64 = ("cpu", "cuda")


def to_float64(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64, moved to the CPU if its device has no float64, which waits for the device."""
    device = tensor.device if tensor.device.type in _WITH_FLOAT64 else "cpu"
    return tensor.to(device, torch.float64)


def finest_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device without it: for sums of a training step, which waits for no device."""
    return torch.float64 if device.type in _WITH_FLOAT64 else torch.float32
