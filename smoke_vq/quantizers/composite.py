"""Quantizers that are made of several others, each of which gives a part of the codes at a position."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .base import Quantizer, QuantizerOutput


class CompositeQuantizer(Quantizer):
    """Base class of quantizers made of `parts` of the same kind, which may themselves be made of others.

    The codes of a position are those of the first part, then those of the second, and so on. Each loss has the name and
    the default weight that it has in the parts, and is the mean over the parts.

    Args:
        part_dim: dimension of the codes of a part.
        name, kwargs: name and keyword arguments of the parts.
        count: how many parts.

    Raises:
        ValueError: unknown `name`; invalid `kwargs`.
    """

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        *,
        part_dim: int,
        name: str,
        kwargs: dict[str, Any] | None,
        count: int,
    ):
        from . import make_quantizer  # the table there names the subclasses of this class

        super().__init__(num_codes, code_dim)
        self.parts = nn.ModuleList(make_quantizer(name, num_codes, part_dim, kwargs) for _ in range(count))
        self.default_loss_weights = self.parts[0].default_loss_weights  # type: ignore[misc]
        self.depth = sum(part.depth for part in self.parts)

    def float_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, D, h, w) in float32.

        Raises:
            ValueError: another shape.
        """
        return self.to_code_space(latents).permute(0, 3, 1, 2)

    def split(self, indices: torch.Tensor) -> Iterator[torch.Tensor]:
        """The codes of each part, in the shape that it expects, from those of this quantizer."""
        groups = indices.view(*indices.shape[:3], self.depth).split([part.depth for part in self.parts], dim=3)
        return (own if part.depth > 1 else own[..., 0] for own, part in zip(groups, self.parts, strict=True))

    def join(self, quantized: torch.Tensor, outputs: list[QuantizerOutput]) -> QuantizerOutput:
        """The output with these codes, given the outputs of the parts."""
        indices = [output.indices for output in outputs if output.indices is not None]
        joined = torch.cat([own if own.ndim == 4 else own[..., None] for own in indices], dim=3)
        losses = [output.losses for output in outputs if output.losses is not None]
        means = {name: sum(one[name] for one in losses) / len(losses) for name in losses[0]} if losses else None
        return QuantizerOutput(quantized, joined if self.depth > 1 else joined[..., 0], means)
