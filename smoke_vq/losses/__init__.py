"""Unweighted losses, which the training recipes weight and add."""

from .adversarial import LeCAM, adaptive_weight, generator_loss, hinge_discriminator_loss
from .perceptual import LPIPS, PERCEPTUAL_LOSSES, PerceptualLoss
from .reconstruction import loss_weights, masked_mse

__all__ = [
    "LPIPS",
    "PERCEPTUAL_LOSSES",
    "LeCAM",
    "PerceptualLoss",
    "adaptive_weight",
    "generator_loss",
    "hinge_discriminator_loss",
    "loss_weights",
    "masked_mse",
]
