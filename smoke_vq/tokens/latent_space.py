"""Where a generative model works: normalized latents of an autoencoder, projected to fewer channels or all of them."""

import torch
from torch import nn


class LatentSpace:
    """Frames to normalized latents and back.

    Args:
        autoencoder: in eval mode, on its device.
        projection: a `LatentProjection` for this autoencoder; None for all channels, which needs the autoencoder's
            `latents_mean` and `latents_std`.

    Raises:
        ValueError: the projection belongs to another autoencoder, or the statistics are missing.
    """

    def __init__(self, autoencoder: nn.Module, projection: nn.Module | None = None):
        if projection is not None:
            projection.check_autoencoder(autoencoder)
        elif autoencoder.config.latents_mean is None:
            raise ValueError(
                "All channels of the latents can only be used with their statistics: the autoencoder's config.json has "
                "no latents_mean and latents_std (scripts/measure_latents.py adds them)."
            )
        self.autoencoder, self.projection = autoencoder, projection

    def normalize(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w), as the autoencoder returns them, to (B, C, h, w)."""
        if self.projection is not None:
            return self.projection.project(latents)
        return self.autoencoder.normalize_latents(latents)

    def denormalize(self, latents: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalize`: (B, C, h, w) to (B, D, h, w)."""
        if self.projection is not None:
            return self.projection.unproject(latents)
        return self.autoencoder.denormalize_latents(latents)

    @torch.no_grad()
    def encode(self, pixel_values: torch.Tensor, batch_size: int = 256) -> torch.Tensor:
        """Frames (B, 3, H, W) in [-1, 1] to (B, C, h, w)."""
        parts = pixel_values.to(self.autoencoder.device).split(batch_size)
        return torch.cat([self.normalize(self.autoencoder.encode(part).latents) for part in parts])

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, quantize: bool = True, batch_size: int = 256) -> torch.Tensor:
        """(B, C, h, w) to frames (B, 3, H, W) in [-1, 1].

        Args:
            quantize: replace each latent by its nearest code first.
        """
        decode = self.autoencoder.decode
        parts = [
            decode(self.denormalize(part), force_not_quantize=not quantize).sample for part in latents.split(batch_size)
        ]
        return torch.cat(parts).clamp(-1, 1)
