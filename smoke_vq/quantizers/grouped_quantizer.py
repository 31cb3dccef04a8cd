"""Grouped (product) quantization: each group of channels has its own quantizer.

Jegou et al. (2011, Product quantization for nearest neighbor search, section II-B), HiFi-Codec (Yang et al., 2023,
arXiv:2305.02765).
"""

from collections.abc import Iterator
from typing import Any

import torch

from ..checks import check_count
from .base import Quantizer, QuantizerOutput
from .composite import CompositeQuantizer


class GroupedQuantizer(CompositeQuantizer):
    """`num_groups` codes of dimension D / num_groups at each position, for consecutive channels, one after the other.

    The gradient of `quantized` passes to each group's channels by the estimator of its own quantizer. Losses are means
    over groups, so that squared errors remain means over all channels. Groups of residual quantizers
    (`quantizer="residual"`) are the group-residual quantizers of HiFi-Codec.

    Args:
        num_codes: K, of each group.
        code_dim: D.
        quantizer: name of the quantizer of each group.
        num_groups: number of groups, a divisor of D.
        kwargs: keyword arguments of each group's quantizer.

    Raises:
        ValueError: `num_groups` is not an integer above 0 or does not divide D; an unknown quantizer or invalid keyword
            arguments.
    """

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        quantizer: str = "vq",
        num_groups: int = 2,
        kwargs: dict[str, Any] | None = None,
    ):
        check_count("num_groups", num_groups)
        if code_dim % num_groups:
            raise ValueError(f"num_groups expects a divisor of the {code_dim} latent channels, found {num_groups}.")
        part_dim = code_dim // num_groups
        super().__init__(num_codes, code_dim, part_dim=part_dim, name=quantizer, kwargs=kwargs, count=num_groups)

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        outputs = [part(group) for part, group in zip(self.parts, self._groups(latents), strict=True)]
        return self.join(torch.cat([output.quantized for output in outputs], dim=1).to(latents.dtype), outputs)

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.cat([part._embed(own) for part, own in zip(self.parts, self.split(indices), strict=True)], dim=1)

    def leaves(
        self, latents: torch.Tensor, indices: torch.Tensor | None = None
    ) -> Iterator[tuple[Quantizer, torch.Tensor, torch.Tensor | None]]:
        each = [None] * len(self.parts) if indices is None else self.split(indices)
        for part, group, own in zip(self.parts, self._groups(latents), each, strict=True):
            yield from part.leaves(group, own)

    def _groups(self, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.float_latents(latents).chunk(len(self.parts), dim=1)
