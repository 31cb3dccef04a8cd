"""Binary spherical quantization (Zhao et al., 2024, arXiv:2406.07548)."""

from typing import ClassVar

import torch
import torch.nn.functional as F

from .binary import BinaryQuantizer

MIN_NORM = 1e-6  # shorter latents are divided by this instead of their norm, which bounds the gradient


class BinarySphericalQuantizer(BinaryQuantizer):
    """The d numbers are normalized to length 1, and their code is the vector of their signs over sqrt(d).

    Both lie on the unit sphere, which bounds the error of the quantization. The gradient passes the sign unchanged, as
    in the paper, and then the division by sqrt(d) and the normalization. `BinaryQuantizer` describes arguments and
    losses; weights and temperature are those of the authors' configurations, where commitment has the weight 0.
    """

    default_loss_weights: ClassVar = {"commitment": 0.0, "sample_entropy": 0.1, "imbalance": 0.1}

    def __init__(self, num_codes: int, code_dim: int, *, temperature: float = 1.0, group_bits: int = 10):
        super().__init__(num_codes, code_dim, temperature=temperature, group_bits=group_bits)
        self.scale = self.num_bits**-0.5

    def to_code_space(self, latents: torch.Tensor) -> torch.Tensor:
        return F.normalize(super().to_code_space(latents), dim=-1, eps=MIN_NORM)
