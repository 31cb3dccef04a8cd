"""Vector quantization with a codebook learned by gradient (van den Oord et al., 2017, arXiv:1711.00937)."""

from typing import ClassVar

import torch
import torch.nn.functional as F

from .nearest import NearestQuantizer


class VectorQuantizer(NearestQuantizer):
    """Nearest code by Euclidean distance and two losses (eq. 3 of the paper, terms 2 and 3).

    - `codebook`: mean of (sg(z) - e)^2, moves the codes to the latents;
    - `commitment`: mean of (z - sg(e))^2, moves the latents to their codes; the paper's beta is its weight.

    Both are means over elements (the paper sums over D) and neither is weighted here.

    Args:
        num_codes, code_dim, gradient, cosine, search_dim: as in `NearestQuantizer`. The paper's gradient is
            `straight_through`, and it has neither of the other two.
    """

    default_loss_weights: ClassVar = {"commitment": 0.1, "codebook": 1.0}

    def make_codes(self) -> None:
        self.codebook = self.initial_codebook()

    def losses(self, vectors: torch.Tensor, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"commitment": F.mse_loss(vectors, codes.detach()), "codebook": F.mse_loss(codes, vectors.detach())}
