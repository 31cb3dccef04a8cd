"""Residual quantization: each level quantizes what the levels before it have left.

SoundStream (Zeghidour et al., 2021, arXiv:2107.03312, algorithm 1), RQ-VAE (Lee et al., 2022, arXiv:2203.01941, eq. 2).
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch

from ..checks import check_count, check_positive
from .base import Quantizer, QuantizerOutput
from .composite import CompositeQuantizer


class ResidualQuantizer(CompositeQuantizer):
    """The sum of `depth` codes, each from its own quantizer: `r_1 = z`, `r_{l+1} = r_l - q_l(r_l)`, `sum_l q_l(r_l)`.

    `quantized` adds the codes in float32, from the first level to the last, and so does `embed`.

    - **Gradient of `quantized`.** Each level has the gradient estimator of its own quantizer, with the codes before it
      held constant, and the latents receive the mean of the levels' gradients: unchanged with straight-through. (The
      sum would be `depth` times the gradient.) Parameters that `quantized` reaches receive 1 / depth of it, as they do
      of their losses.
    - **Losses.** With the codes before it held constant, `r_l = z - sg(sum of the codes before)`. The commitment loss
      is then the mean over levels of `(z - sg(sum of the first l codes))^2`, eq. 8 of RQ-VAE divided by `depth`; every
      level moves the latents, and each codebook loss moves only the codes of its own level.

    Learned codes adapt to the residuals, which become smaller from level to level. Fixed codes (fsq, lfq) and codes of
    a fixed length (bsq, `cosine`) do not: they need a `scale` below 1, such as 0.5. (With L levels of fsq a cell is
    about 1 / L of the range, but its tanh shortens the residuals, so that such a scale is too small.)

    Args:
        num_codes: K, of each level.
        code_dim: D.
        quantizer: name of the quantizer of each level.
        depth: number of levels.
        kwargs: keyword arguments of each level's quantizer.
        scale: level l, from 0, quantizes its residual divided by `scale ** l`, and its code is multiplied by it.

    Raises:
        ValueError: `depth` is not an integer above 0; `scale` is not a finite number above 0; an unknown quantizer or
            invalid keyword arguments.
    """

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        quantizer: str = "vq",
        depth: int = 2,
        kwargs: dict[str, Any] | None = None,
        scale: float = 1.0,
    ):
        check_count("depth", depth)
        check_positive("scale", scale)
        super().__init__(num_codes, code_dim, part_dim=code_dim, name=quantizer, kwargs=kwargs, count=depth)
        self.scales = [float(scale) ** level for level in range(depth)]

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        residual, codes, outputs = self.float_latents(latents), [], []
        for part, scale in zip(self.parts, self.scales, strict=True):
            output = part(residual / scale)
            code = output.quantized * scale
            residual = residual - code.detach()
            codes.append(_DividedGradient.apply(code, len(self.parts)))
            outputs.append(output)
        return self.join(_sum(codes).to(latents.dtype), outputs)

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        levels = zip(self.parts, self.split(indices), self.scales, strict=True)
        return _sum([part._embed(own) * scale for part, own, scale in levels])

    def leaves(
        self, latents: torch.Tensor, indices: torch.Tensor | None = None
    ) -> Iterator[tuple[Quantizer, torch.Tensor, torch.Tensor | None]]:
        residual = self.float_latents(latents)
        each = [None] * len(self.parts) if indices is None else list(self.split(indices))
        for level, (part, own, scale) in enumerate(zip(self.parts, each, self.scales, strict=True), start=1):
            yield from part.leaves(residual / scale, own)
            if level < len(self.parts):
                code = part(residual / scale).quantized if own is None else part._embed(own)
                residual = residual - code * scale


def _sum(codes: list[torch.Tensor]) -> torch.Tensor:
    """From the first to the last; `sum` would add the first to 0."""
    return reduce(torch.add, codes)


class _DividedGradient(torch.autograd.Function):
    """The identity, whose gradient is divided by `count`."""

    @staticmethod
    def forward(ctx, value: torch.Tensor, count: int) -> torch.Tensor:
        ctx.count = count
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        return gradient / ctx.count, None
