"""Read by diffusers and transformers with trust_remote_code=True. It needs the package smoke-vq."""

from smoke_vq.models.latent_projection import LatentProjection

__all__ = ["LatentProjection"]
