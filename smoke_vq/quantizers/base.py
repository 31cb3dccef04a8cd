"""The contract that every quantizer keeps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from diffusers.utils import BaseOutput
from torch import nn


@dataclass
class QuantizerOutput(BaseOutput):
    """What a quantizer returns.

    Fields after the first default to None because mixed precision rebuilds outputs field by field.

    Args:
        quantized: (B, D, h, w) in the dtype of the latents; its gradient reaches the latents.
        indices: (B, h, w), int64 in [0, num_codes).
        losses: scalars by name, unweighted and in float32: the training configuration weighs them.
    """

    quantized: torch.Tensor
    indices: torch.Tensor | None = None
    losses: dict[str, torch.Tensor] | None = None


class Quantizer(nn.Module, ABC):
    """Replaces each latent vector by one of `num_codes` codes of dimension `code_dim`.

    A quantizer whose codes are learned keeps them in `codebook`, an `nn.Parameter` of shape (num_codes, code_dim): a
    parameter and no buffer, so that weight averaging and distributed training see it. A quantizer with fixed codes has
    `codebook = None`. `loss_names` names the entries of `QuantizerOutput.losses`.
    """

    loss_names: tuple[str, ...] = ()

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
        """latents: (B, D, h, w), any floating dtype."""

    @abstractmethod
    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the codes of `indices` (B, h, w) as (B, D, h, w), bit for bit what `forward` returned for them.

        Raises:
            ValueError: an index lies outside [0, num_codes).
        """
