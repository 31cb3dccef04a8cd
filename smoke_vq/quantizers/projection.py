"""Linear maps between latents and codes of another dimension."""

import torch
import torch.nn.functional as F
from torch import nn

from .gradients import StraightThrough


class CodeProjection(nn.Module):
    """Learned linear maps from D to d dimensions and back, for codes whose number of dimensions is given.

    There are none if D = d. They start as an orthonormal matrix and its transpose, so that for d <= D going to the
    latents and back changes nothing. Both run in float32, regardless of autocast and of the dtype of the parameters.

    Args:
        code_dim: D, of the latents.
        num_dims: d, of the codes.
    """

    def __init__(self, code_dim: int, num_dims: int):
        super().__init__()
        self.down: nn.Linear | None = None
        self.up: nn.Linear | None = None
        if num_dims != code_dim:
            self.down, self.up = nn.Linear(code_dim, num_dims), nn.Linear(num_dims, code_dim)
            nn.init.orthogonal_(self.down.weight)
            with torch.no_grad():
                self.up.weight.copy_(self.down.weight.t())
            nn.init.zeros_(self.down.bias)
            nn.init.zeros_(self.up.bias)

    def to_codes(self, vectors: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., d), float32."""
        if self.down is None:
            return vectors
        with torch.autocast(vectors.device.type, enabled=False):
            return F.linear(vectors, self.down.weight.float(), self.down.bias.float())

    def to_latents(self, codes: torch.Tensor) -> torch.Tensor:
        """(..., d) to (..., D), float32, with the same bits for the same codes in a batch of any size.

        Therefore a product and a sum for each dimension: the rounding of a matrix product depends on the number of
        vectors. The gradient is that of the matrix product. And contiguous, because convolutions round differently for
        other memory layouts.
        """
        if self.up is None:
            return codes.contiguous()
        with torch.autocast(codes.device.type, enabled=False):
            weight, bias = self.up.weight.float(), self.up.bias.float()
            with torch.no_grad():
                vectors = bias
                for column, values in zip(weight.unbind(dim=1), codes.unbind(dim=-1), strict=True):
                    vectors = vectors + values[..., None] * column
            return StraightThrough.apply(F.linear(codes, weight, bias), vectors.contiguous())
