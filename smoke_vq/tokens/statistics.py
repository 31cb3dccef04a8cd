"""Mean and standard deviation of the latents, which generative models need to normalize them."""

import hashlib

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from ..data.loader import FrameLoader
from ..float64 import to_float64


@torch.no_grad()
def latent_statistics(
    model: nn.Module, loader: FrameLoader, accelerator: Accelerator
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each latent channel, before quantization, over the frames of `loader`.

    Args:
        loader: without shuffling; each process has its share of the frames.

    Returns:
        Two lists of D numbers, for `latents_mean` and `latents_std` of the model's configuration.
    """
    sums: torch.Tensor | float = 0.0
    for batch in loader.epoch(0):
        latents = to_float64(model.encode(batch["pixel_values"]).latents).transpose(0, 1).flatten(1)
        counts = torch.full_like(latents[:, 0], latents.shape[1])
        sums = sums + torch.stack([counts, latents.sum(dim=1), latents.square().sum(dim=1)])
    counts, first, second = accelerator.reduce(sums, "sum")
    mean = first / counts
    return mean.tolist(), (second / counts - mean.square()).clamp(min=0).sqrt().tolist()


def statistics_digest(model: nn.Module) -> str:
    """SHA-256 of the numbers by which a model normalizes its latents, which `model_digest` does not cover.

    Args:
        model: an autoencoder with `latents_mean` and `latents_std`.
    """
    config = model.config
    numbers = [*config.latents_mean, *config.latents_std, config.scaling_factor]
    return hashlib.sha256(np.array(numbers, dtype="<f8").tobytes()).hexdigest()
