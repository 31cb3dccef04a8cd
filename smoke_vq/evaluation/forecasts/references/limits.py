"""Forecasts that know the future: the best that any forecaster, or any forecaster through codes, can do."""

from collections.abc import Callable

import torch
from torch import nn

from ....pixels import clamp
from ..cases import ForecastCase

ThroughCodes = Callable[[torch.Tensor], torch.Tensor]
_AT_ONCE = 256  # frames encoded and decoded at a time


def through_codes(autoencoder: nn.Module) -> ThroughCodes:
    """A function that encodes frames (N, 3, H, W) in [-1, 1] as codes and decodes them: float32 on the CPU.

    Args:
        autoencoder: in eval mode, on its device.
    """

    @torch.no_grad()
    def encode_and_decode(frames: torch.Tensor) -> torch.Tensor:
        parts = [part.to(autoencoder.device, autoencoder.dtype) for part in frames.split(_AT_ONCE)]
        return torch.cat([clamp(autoencoder(part).sample.float()).cpu() for part in parts])

    return encode_and_decode


def perfect_ensemble(case: ForecastCase) -> torch.Tensor:
    """The futures from 1 on as a forecast of what happened: (M - 1, T, 3, H, W)."""
    return case.future_values[1:]


def perfect_through_codes(case: ForecastCase, encode_and_decode: ThroughCodes) -> torch.Tensor:
    """The perfect ensemble, encoded and decoded."""
    members = perfect_ensemble(case)
    return encode_and_decode(members.flatten(0, 1)).unflatten(0, members.shape[:2])


def truth_through_codes(case: ForecastCase, encode_and_decode: ThroughCodes) -> torch.Tensor:
    """What happened, encoded and decoded: (1, T, 3, H, W)."""
    return encode_and_decode(case.future_values[0])[None]
