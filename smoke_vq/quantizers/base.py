"""The base class of quantizers and their output."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from diffusers.utils import BaseOutput
from torch import nn


@dataclass
class QuantizerOutput(BaseOutput):
    """Output of a quantizer.

    Fields after the first default to None because mixed precision rebuilds outputs field by field.

    Args:
        quantized: (B, D, h, w) in the dtype of the latents; its gradient reaches the latents.
        indices: (B, h, w), int64 in [0, num_codes).
        losses: scalars by name, in float32 and unweighted; the recipe weights them. None if there are none.
    """

    quantized: torch.Tensor
    indices: torch.Tensor | None = None
    losses: dict[str, torch.Tensor] | None = None


class Quantizer(nn.Module, ABC):
    """Replaces each latent vector by one of `num_codes` codes of dimension `code_dim`.

    A subclass takes `num_codes`, `code_dim` and its own keyword arguments, which a model receives as
    `quantizer_kwargs`. If its codes are learned, they are in `codebook`, an `nn.Parameter` of shape
    (num_codes, code_dim): not a buffer, so that weight averaging and distributed training include it. If they
    are fixed, `codebook` is None, and k-means initialization and the revival of unused codes are skipped.

    Attributes:
        default_loss_weights: the weight of each entry of `QuantizerOutput.losses`, by name. A training uses these
            unless `--quantizer-loss-weights` overrides them.
    """

    default_loss_weights: ClassVar[dict[str, float]] = {}

    def __init__(self, num_codes: int, code_dim: int):
        super().__init__()
        if num_codes < 2 or code_dim < 1:
            raise ValueError(
                f"A quantizer needs at least 2 codes of dimension 1 or more: found {num_codes} codes of dimension "
                f"{code_dim}."
            )
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.codebook: nn.Parameter | None = None

    @abstractmethod
    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        """Quantize `latents` (B, D, h, w), any floating dtype."""

    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the codes of `indices` as (B, D, h, w), bit-identical to the `quantized` of `forward`.

        Args:
            indices: (B, h, w), any integer dtype, in [0, num_codes).

        Raises:
            ValueError: another shape or dtype, or an index out of range.
        """
        if indices.ndim != 3 or indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise ValueError(
                f"Expected integer indices of shape (B, h, w), found {indices.dtype} {tuple(indices.shape)}."
            )
        indices = indices.long()  # torch has no min and max for uint16
        if indices.numel() and (indices.min() < 0 or indices.max() >= self.num_codes):
            raise ValueError(
                f"Expected indices in [0, {self.num_codes}), found {int(indices.min())} to {int(indices.max())}."
            )
        return self._embed(indices)

    @abstractmethod
    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        """`embed` of valid int64 indices (B, h, w)."""
