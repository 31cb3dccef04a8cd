"""SimVQ: codes that move together, through one linear map (Zhu et al., 2024, arXiv:2411.02038)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .vector_quantizer import VectorQuantizer


class SimVectorQuantizer(VectorQuantizer):
    """Nearest of the codes `C W^T`, with a fixed random table C of K rows from N(0, 1/d) and a learned d x d matrix W.

    Every training step moves W, and with it all codes, so that none is left unused (section 4 of the paper). Therefore
    there is no k-means start and no revival: `codebook` is None. C is saved with the model.

    - `codebook`: mean of (sg(z) - e)^2, moves W;
    - `commitment`: mean of (z - sg(e))^2, moves the latents to their codes; the paper's beta is its weight.

    Both are means over elements, as in the authors' code, and neither is weighted here.

    Args:
        num_codes, code_dim, gradient, cosine, search_dim: as in `NearestQuantizer`. The paper's gradient is
            `straight_through`, and it has neither of the other two.
    """

    default_loss_weights: ClassVar = {"commitment": 0.25, "codebook": 1.0}

    fixed_codes: torch.Tensor

    def make_codes(self) -> None:
        size = self.search_dim
        self.register_buffer("fixed_codes", torch.randn(self.num_codes, size) * size**-0.5)
        self.code_map = nn.Linear(size, size, bias=False)

    def codes(self) -> torch.Tensor:
        with torch.autocast(self.fixed_codes.device.type, enabled=False):
            # A copy is aligned in memory. A loaded table may not be, and small products then round differently.
            return self.direction(F.linear(self.fixed_codes.float().clone(), self.code_map.weight.float()))
