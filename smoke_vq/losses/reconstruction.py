"""Masked reconstruction loss. Most of a frame is black, so a plain mean would favour outputs without smoke."""

import torch

from .precision import at_least_float32


def loss_weights(mask: torch.Tensor, background_weight: float) -> torch.Tensor:
    """Weight of each pixel, `w = m + background_weight * (1 - m)`; ones if all weights of the batch would be 0.

    Args:
        mask: (B, 1, H, W) in [0, 1], 1 where there is smoke.
        background_weight: 0 or more. With 0, smoke that is drawn on the background is not penalised.
    """
    weights = mask + background_weight * (1 - mask)
    return torch.where(weights.sum() > 0, weights, torch.ones_like(weights))


def masked_mse(
    sample: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    background_weight: float = 0.2,
    total_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """`sum(w * mean_c(e^2)) / sum(w)` with the weights of `loss_weights`, in float32 or float64.

    Both sums are over the batch, not over each image. If a step is split over processes or micro-batches,
    each part must be divided by the weight of the complete step: pass it as `total_weight`.

    Args:
        sample, target: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1], computed from the target only.
        total_weight: scalar to divide by; by default `sum(w)` of this batch.

    Returns:
        A scalar, in squared units of [-1, 1].
    """
    error = (at_least_float32(sample) - at_least_float32(target)).square().mean(dim=1, keepdim=True)
    weights = loss_weights(at_least_float32(mask), background_weight)
    return (weights * error).sum() / (weights.sum() if total_weight is None else total_weight)
