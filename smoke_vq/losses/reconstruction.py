"""Masked reconstruction: most of a frame is black background, and an unmasked mean would reward leaving smoke out."""

import torch

from .precision import at_least_float32


def loss_weights(mask: torch.Tensor, background_weight: float) -> torch.Tensor:
    """Weight of each pixel, `w = m + background_weight * (1 - m)`; all ones for a batch whose weights would all be 0.

    Args:
        mask: (B, 1, H, W) in [0, 1], 1 where there is smoke.
        background_weight: 0 or more. 0 lets smoke that is hallucinated on the background cost nothing.
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
    """`sum(w * mean_c(e^2)) / sum(w)` with the weights of `loss_weights`, in float32 or finer.

    The mean is over the weights of the whole batch, not image by image, so a step that is split over processes or
    micro-batches has to divide by the weights of all of it: hand that in as `total_weight`.

    Args:
        sample, target: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1], made from the target alone.
        total_weight: scalar to divide by; by default `sum(w)` of this batch.

    Returns:
        A scalar, in squared units of [-1, 1].
    """
    error = (at_least_float32(sample) - at_least_float32(target)).square().mean(dim=1, keepdim=True)
    weights = loss_weights(at_least_float32(mask), background_weight)
    return (weights * error).sum() / (weights.sum() if total_weight is None else total_weight)
