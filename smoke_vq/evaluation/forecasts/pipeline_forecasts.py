"""Forecasts of a pipeline of this library."""

import zlib
from collections.abc import Callable

import torch

from .cases import ForecastCase


class PipelineForecasts:
    """Calls a `SmokeForecastPipeline` on the observed frames of a case.

    Args:
        pipeline: takes frames (P, H, W, 3) uint8.
        num_inference_steps: evaluations of the network for one prediction.
        num_samples: members.
        seed: of the noise, which depends on it and on the name of the case only.
    """

    def __init__(self, pipeline: Callable, num_inference_steps: int, num_samples: int, seed: int = 0):
        self.pipeline, self.num_inference_steps = pipeline, num_inference_steps
        self.num_samples, self.seed = num_samples, seed

    def __call__(self, case: ForecastCase) -> torch.Tensor:
        """(S, T, 3, H, W) in [-1, 1]."""
        seed = zlib.crc32(f"{self.seed} {case.name}".encode())
        return self.pipeline(
            case.past,
            num_frames=case.num_frames,
            num_inference_steps=self.num_inference_steps,
            num_samples=self.num_samples,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).frames
