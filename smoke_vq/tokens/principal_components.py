"""Principal components of latents, in one pass and in closed form."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from ..float64 import to_float64


@dataclass
class PrincipalComponents:
    """The principal axes of vectors of D channels, float64, by decreasing variance.

    mean: (D,).
    components: (D, D), an orthonormal axis in each row. The sign of an axis is such that its entry of the largest
        absolute value is positive, as in scikit-learn.
    variances: (D,), the variance along each axis, with the number of vectors in the denominator.
    """

    mean: torch.Tensor
    components: torch.Tensor
    variances: torch.Tensor

    @property
    def explained(self) -> torch.Tensor:
        """(D,): the share of the variance that the first 1, 2, ..., D axes have together."""
        return self.variances.cumsum(dim=0) / self.variances.sum()


@torch.no_grad()
def principal_components(batches: Iterable[torch.Tensor], accelerator: Accelerator) -> PrincipalComponents:
    """The principal components of the vectors at all positions of the latents in `batches`.

    Only sums are kept: their number does not matter. Every process gets the components of all processes together.

    Args:
        batches: latents (B, D, h, w) of any precision; each process has its share.

    Raises:
        ValueError: there are no latents, or they are not finite.
    """
    total: torch.Tensor | None = None
    for latents in batches:
        vectors = to_float64(latents).transpose(0, 1).flatten(1)  # (D, N)
        vectors = torch.cat([torch.ones_like(vectors[:1]), vectors])
        products = vectors @ vectors.T  # the count, the sums and the products in one (D + 1, D + 1) matrix
        total = products if total is None else total + products
    if total is None:
        raise ValueError("Principal components need latents: found none.")
    total = accelerator.reduce(total, "sum")
    if not torch.isfinite(total).all():
        raise ValueError("Principal components need finite latents: found infinite ones or NaN.")
    mean = total[0, 1:] / total[0, 0]
    variances, axes = torch.linalg.eigh(total[1:, 1:] / total[0, 0] - mean.outer(mean))
    components = axes.T.flip(0)
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    return PrincipalComponents(mean, components * largest.sign(), variances.flip(0).clamp(min=0))
