"""Quantizers of other libraries behind the interface of this one, to compare with. Not a part of smoke_vq.

Both receive float32 latents outside of autocast, and return their total loss, already weighted, as one loss.
"""

from typing import ClassVar

import torch
from torch import nn

from smoke_vq.quantizers import QUANTIZERS, Quantizer, QuantizerOutput


class _Peer(Quantizer):
    default_loss_weights: ClassVar = {"quantization": 1.0}

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            quantized, indices, loss = self.quantize(latents.float())
        return QuantizerOutput(quantized.to(latents.dtype), indices.long(), {"quantization": loss.float().mean()})

    def quantize(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents (B, D, h, w) to codes (B, D, h, w), indices (B, h, w) and the loss."""
        raise NotImplementedError


class DiffusersQuantizer(_Peer):
    """The quantizer of diffusers' VQModel, which is that of taming-transformers.

    With `legacy`, as VQModel has it, `beta` weights the codebook loss instead of the commitment loss.
    """

    def __init__(self, num_codes: int, code_dim: int, beta: float = 0.25, legacy: bool = True):
        from diffusers.models.autoencoders.vae import VectorQuantizer

        super().__init__(num_codes, code_dim)
        self.inner = VectorQuantizer(num_codes, code_dim, beta=beta, legacy=legacy)

    def quantize(self, latents: torch.Tensor):
        quantized, loss, (_, _, indices) = self.inner(latents)
        return quantized, indices.view(len(latents), *latents.shape[2:]), loss

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return self.inner.embedding(indices).permute(0, 3, 1, 2)


class VectorQuantizePytorch(_Peer):
    """`VectorQuantize` of vector-quantize-pytorch: codes that are running means, and its options as keywords."""

    def __init__(self, num_codes: int, code_dim: int, **options):
        from vector_quantize_pytorch import VectorQuantize

        super().__init__(num_codes, code_dim)
        self.inner: nn.Module = VectorQuantize(dim=code_dim, codebook_size=num_codes, accept_image_fmap=True, **options)

    def quantize(self, latents: torch.Tensor):
        return self.inner(latents)

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return self.inner.get_output_from_indices(indices).permute(0, 3, 1, 2)


def register() -> None:
    """Add these quantizers to QUANTIZERS."""
    QUANTIZERS.update({"diffusers": DiffusersQuantizer, "vector_quantize_pytorch": VectorQuantizePytorch})
