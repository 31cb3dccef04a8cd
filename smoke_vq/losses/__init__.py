"""Losses: they leave this floor named and unweighted; a training configuration weighs them."""

from .reconstruction import loss_weights, masked_mse

__all__ = ["loss_weights", "masked_mse"]
