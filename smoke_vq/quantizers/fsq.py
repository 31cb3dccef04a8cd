"""Finite scalar quantization (Mentzer et al., 2023, arXiv:2309.15505)."""

import itertools
import math
import operator
from collections.abc import Sequence

import torch

from .base import Quantizer, QuantizerOutput
from .gradients import StraightThrough
from .projection import CodeProjection

EPS = 1e-3  # of the authors' code: keeps the bound below the outermost rounding thresholds


class FiniteScalarQuantizer(Quantizer):
    """Rounds each of d bounded dimensions to one of its levels: nothing is searched, learned or lost.

    With L levels in a dimension, `h = (L - 1) (1 - eps) / 2` and `o = 1/2` for even L and 0 for odd L, a number z
    becomes `round(tanh(z + tan(o / h)) h - o) / floor(L / 2)` (appendix A.1), which lies in [-1, 1]. The gradient
    passes the rounding unchanged. The levels are the digits of the index, the first dimension varying fastest.

    There are no losses. If `code_dim` is not d, a learned linear map leads from the latents to the d dimensions and
    another one back. A code is in general not quantized to itself, because of tanh.

    Args:
        num_codes: K.
        code_dim: D.
        levels: d whole numbers of 2 or more, whose product is K: [8, 8, 4, 4] or [4, 4, 4, 4, 4] for 1,024 codes.

    Raises:
        ValueError: other levels.
    """

    levels: torch.Tensor
    radix: torch.Tensor

    def __init__(self, num_codes: int, code_dim: int, *, levels: Sequence[int]):
        super().__init__(num_codes, code_dim)
        whole = isinstance(levels, (list, tuple)) and all(type(level) is int and level > 1 for level in levels)
        if not whole or math.prod(levels) != num_codes:
            raise ValueError(
                f"levels expects a list of whole numbers of 2 or more with the product {num_codes}, the number of "
                f"codes: found {levels!r}{f' with the product {math.prod(levels)}' if whole else ''}."
            )
        self.projection = CodeProjection(code_dim, len(levels))
        # Whole numbers, kept by .to(bfloat16); a digit is worth the product of the levels before it.
        worth = list(itertools.accumulate([1, *levels[:-1]], operator.mul))
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("radix", torch.tensor(worth), persistent=False)

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        half = (self.levels - 1) * (1 - EPS) / 2
        offset = (1 - self.levels % 2) / 2
        bounded = torch.tanh(self.to_code_space(latents) + torch.tan(offset / half)) * half - offset
        # In range whatever the latents, also for NaN.
        digits = (bounded.detach().round().long() + self.levels // 2).clamp(min=0).minimum(self.levels - 1)
        codes = StraightThrough.apply(bounded / (self.levels // 2), self._codes_of(digits))
        quantized = self.projection.to_latents(codes).permute(0, 3, 1, 2).to(latents.dtype)
        return QuantizerOutput(quantized=quantized, indices=(digits * self.radix).sum(dim=-1))

    def to_code_space(self, latents: torch.Tensor) -> torch.Tensor:
        return self.projection.to_codes(super().to_code_space(latents))

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        digits = indices[..., None] // self.radix % self.levels
        return self.projection.to_latents(self._codes_of(digits)).permute(0, 3, 1, 2)

    def _codes_of(self, digits: torch.Tensor) -> torch.Tensor:
        return (digits - self.levels // 2) / (self.levels // 2)
