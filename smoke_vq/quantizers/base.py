"""The base class of quantizers and their output."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers.utils import ModelOutput

MAX_TABLE = 2**24  # codes, of a quantizer that holds all of them in memory


@dataclass
class QuantizerOutput(ModelOutput):
    """Output of a quantizer.

    Fields after the first default to None because mixed precision rebuilds outputs field by field.

    Args:
        quantized: (B, D, h, w) in the dtype of the latents; its gradient reaches the latents.
        indices: (B, h, w), int64 in [0, num_codes), or (B, h, w, depth) with several codes at each position.
        losses: scalars by name, in float32 and unweighted; the recipe weights them. None if there are none.
    """

    quantized: torch.Tensor
    indices: torch.Tensor | None = None
    losses: dict[str, torch.Tensor] | None = None


class Quantizer(nn.Module, ABC):
    """Replaces each latent vector of dimension `code_dim` by one of `num_codes` codes, or by `depth` of them together.

    A subclass takes `num_codes`, `code_dim` and its own keyword arguments, which a model receives as
    `quantizer_kwargs`.

    Learned codes that k-means may initialize and that may be revived when they are not used are in `codebook`, an
    `nn.Parameter` of shape (num_codes, d): not a buffer, so that weight averaging and distributed training include
    it. `to_code_space` brings latents to the space of these codes, and `codes` returns what the search compares them
    with. For all other quantizers `codebook` is None. Weight decay applies to no parameter of a quantizer.

    A training calls `observe` after each forward pass and `end_step` after each optimizer step, for codes that are not
    learned by gradient.

    Attributes:
        max_codes: the largest number of codes.
        default_loss_weights: the weight of each entry of `QuantizerOutput.losses`, by name. A training uses these
            unless `--quantizer-loss-weights` overrides them.
        depth: codes at each position.
    """

    default_loss_weights: ClassVar[dict[str, float]] = {}
    max_codes: ClassVar[int] = 2**31 - 1  # indices of ONNX files are int32

    def __init__(self, num_codes: int, code_dim: int):
        super().__init__()
        if type(num_codes) is not int or type(code_dim) is not int or num_codes < 2 or code_dim < 1:
            raise ValueError(
                f"A quantizer needs at least 2 codes of dimension 1 or more: found {num_codes} codes of dimension "
                f"{code_dim}."
            )
        if num_codes > self.max_codes:
            raise ValueError(f"{type(self).__name__} takes at most {self.max_codes:,} codes, found {num_codes:,}.")
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.depth = 1
        self.codebook: nn.Parameter | None = None

    @abstractmethod
    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        """Quantize `latents` (B, D, h, w), any floating dtype.

        Raises:
            ValueError: another shape.
        """

    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the codes of `indices` as (B, D, h, w) in float32, bit-identical to the `quantized` of `forward`.

        Args:
            indices: (B, h, w), or (B, h, w, depth) if `depth` is above 1; any integer dtype, in [0, num_codes).

        Raises:
            ValueError: another shape or dtype, or an index out of range. `torch.export` leaves the check of the range
                out, because an exported graph cannot depend on values.
        """
        if not isinstance(indices, torch.Tensor):
            raise ValueError(f"Expected integer indices as a torch.Tensor, found {type(indices).__name__}.")
        shape = "(B, h, w)" if self.depth == 1 else f"(B, h, w, {self.depth})"
        fits = indices.ndim == 3 if self.depth == 1 else indices.ndim == 4 and indices.shape[3] == self.depth
        if not fits or indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise ValueError(
                f"Expected integer indices of shape {shape}, found {indices.dtype} {tuple(indices.shape)}."
            )
        indices = indices.long()  # torch has no min and max for uint16
        exporting = torch.compiler.is_exporting()
        if not exporting and indices.numel() and (indices.min() < 0 or indices.max() >= self.num_codes):
            raise ValueError(
                f"Expected indices in [0, {self.num_codes}), found {int(indices.min())} to {int(indices.max())}."
            )
        return self._embed(indices)

    @abstractmethod
    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        """`embed` of valid int64 indices."""

    def to_code_space(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, D, h, w) as contiguous vectors (B, h, w, d) in float32, in the space of the codes.

        Raises:
            ValueError: another shape.
        """
        if latents.ndim != 4 or latents.shape[1] != self.code_dim:
            raise ValueError(f"Expected latents of shape (B, {self.code_dim}, h, w), found {tuple(latents.shape)}.")
        return latents.permute(0, 2, 3, 1).float().contiguous()

    def codes(self) -> torch.Tensor:
        """The codes (num_codes, d) in float32, in the space of `to_code_space`.

        Raises:
            NotImplementedError: this quantizer has no table of codes.
        """
        if self.codebook is None:
            raise NotImplementedError(f"{type(self).__name__} has no table of codes.")
        return self.codebook.float()

    def leaves(
        self, latents: torch.Tensor, indices: torch.Tensor | None = None
    ) -> Iterator[tuple["Quantizer", torch.Tensor, torch.Tensor | None]]:
        """Each quantizer that this one is made of, with the latents (B, D, h, w) that it receives and their `indices`.

        A quantizer that contains no others is its only leaf. The latents of a leaf are computed when the iteration
        reaches it, so that the codes of the leaves before it may be changed during the iteration.
        """
        yield self, latents, indices

    def observe(self, latents: torch.Tensor, indices: torch.Tensor) -> None:
        """Take note of the latents (B, D, h, w) and codes of a micro-batch in training. Only leaves are told."""

    def end_step(self, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Update what is not learned by gradient, after an optimizer step.

        Args:
            reduce: sums a tensor over the processes.
        """

    def forget_step(self) -> None:
        """Forget what was observed since the last optimizer step, which is left out. Only leaves are told."""

    def codes_replaced(self, rows: torch.Tensor) -> None:
        """k-means or a revival has overwritten the codes `rows` (n,) int64 of `codebook`."""
