"""Quantizers whose codes are the signs of a few numbers."""

import torch
import torch.nn.functional as F

from ..checks import check_count, check_positive
from .base import Quantizer, QuantizerOutput
from .entropy import bit_losses
from .gradients import StraightThrough
from .projection import CodeProjection


class BinaryQuantizer(Quantizer):
    """Base class: each of d = log2 K numbers becomes `scale` if it is above 0, and `-scale` otherwise.

    The index is the sum of `2^i` over the positive numbers i = 0 ... d - 1. The gradient passes the sign unchanged and
    so is multiplied by `scale`. If `code_dim` is not d, a learned linear map leads from the latents to the numbers and
    another one back.

    The soft codes of the entropies are the softmax of `2 z.c / temperature` over the codes c, which is that of
    `-|z - c|^2 / temperature`, so that bit i has the log-odds `4 scale z_i / temperature`. The losses, none weighted:

    - `commitment`: mean of (z - sg(c))^2 over elements;
    - `sample_entropy`: mean entropy of the soft codes, low if each latent is close to one code;
    - `imbalance`: `log K` minus the entropy of the mean soft code, 0 if all codes are in equal use. The entropies of
      the papers, `H(z) - gamma H(mean)`, are `sample_entropy + gamma imbalance` without the constant.

    Everything runs in float32, regardless of autocast and of the dtype of the latents.

    Args:
        num_codes: K, a power of 2.
        code_dim: D.
        temperature: of the soft codes.
        group_bits: the imbalance is computed for groups of at most so many bits, with 2^group_bits
            probabilities for each latent; exact if it is d or more.

    Raises:
        ValueError: a num_codes that is no power of 2; another temperature or group_bits than a number above 0.
    """

    scale: float = 1.0

    def __init__(self, num_codes: int, code_dim: int, *, temperature: float, group_bits: int):
        super().__init__(num_codes, code_dim)
        self.num_bits = num_codes.bit_length() - 1
        if num_codes != 2**self.num_bits:
            raise ValueError(f"{type(self).__name__} expects a power of 2 as the number of codes, found {num_codes}.")
        check_positive("temperature", temperature)
        check_count("group_bits", group_bits)
        self.temperature, self.group_bits = temperature, group_bits
        self.projection = CodeProjection(code_dim, self.num_bits)

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            vectors = self.to_code_space(latents)
            indices = ((vectors > 0) * self._powers(latents.device)).sum(dim=-1)
            codes = self._codes_of(indices)
            log_odds = vectors.flatten(0, 2) * (4 * self.scale / self.temperature)
            sample_entropy, imbalance = bit_losses(log_odds, self.group_bits)
            losses = {
                "commitment": F.mse_loss(vectors, codes),
                "sample_entropy": sample_entropy,
                "imbalance": imbalance,
            }
            quantized = self.projection.to_latents(StraightThrough.apply(self.scale * vectors, codes)).permute(
                0, 3, 1, 2
            )
        return QuantizerOutput(quantized=quantized.to(latents.dtype), indices=indices, losses=losses)

    def to_code_space(self, latents: torch.Tensor) -> torch.Tensor:
        return self.projection.to_codes(super().to_code_space(latents))

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return self.projection.to_latents(self._codes_of(indices)).permute(0, 3, 1, 2)

    def _codes_of(self, indices: torch.Tensor) -> torch.Tensor:
        positive = indices[..., None] & self._powers(indices.device) > 0
        return torch.where(positive, self.scale, -self.scale).float()

    def _powers(self, device: torch.device) -> torch.Tensor:
        return 2 ** torch.arange(self.num_bits, device=device)
