"""Where a generative model works: normalized latents of an autoencoder, projected to fewer channels or all of them."""

import torch
from torch import nn

from ..pixels import clamp

_AT_ONCE = 64  # frames encoded or decoded at a time


class LatentSpace:
    """Frames to normalized latents and back, in parts, so that memory stays bounded.

    Args:
        autoencoder: in eval mode, on its device.
        projection: a `LatentProjection` for this autoencoder; None for all channels, which are then normalized by the
            autoencoder's `latents_mean` and `latents_std`.
    """

    def __init__(self, autoencoder: nn.Module, projection: nn.Module | None = None):
        self.autoencoder, self.projection = autoencoder, projection

    def normalize(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w), as the autoencoder returns them, to (B, C, h, w).

        Raises:
            ValueError: there is no projection, and the autoencoder has no statistics of its latents.
        """
        if self.projection is not None:
            return self.projection.project(latents.to(self.projection.dtype))
        return self.autoencoder.normalize_latents(latents)

    def denormalize(self, latents: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalize`: (B, C, h, w) to (B, D, h, w)."""
        if self.projection is not None:
            return self.projection.unproject(latents.to(self.projection.dtype))
        return self.autoencoder.denormalize_latents(latents)

    @torch.no_grad()
    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Frames (B, 3, H, W) in [-1, 1], on any device, to (B, C, h, w) on that of the autoencoder."""
        device, dtype = self.autoencoder.device, self.autoencoder.dtype
        parts = [part.to(device, dtype) for part in pixel_values.split(_AT_ONCE)]
        return torch.cat([self.normalize(self.autoencoder.encode(part).latents) for part in parts])

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, quantize: bool = True) -> torch.Tensor:
        """(B, C, h, w) to frames (B, 3, H, W) in [-1, 1], float32 on the CPU.

        Args:
            quantize: replace each latent by its nearest code first.
        """
        parts = []
        for part in latents.split(_AT_ONCE):
            part = self.denormalize(part).to(self.autoencoder.dtype)
            parts.append(clamp(self.autoencoder.decode(part, force_not_quantize=not quantize).sample.float()).cpu())
        return torch.cat(parts)
