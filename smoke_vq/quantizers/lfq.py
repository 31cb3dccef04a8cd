"""Lookup-free quantization (Yu et al., 2023, arXiv:2310.05737, MAGVIT-v2)."""

from typing import ClassVar

from .binary import BinaryQuantizer


class LookupFreeQuantizer(BinaryQuantizer):
    """The code of d numbers is the vector of their signs, in {-1, 1}^d (eq. 3), with entropy losses (eq. 5).

    `BinaryQuantizer` describes arguments and losses. The paper gives neither a temperature nor weights; the defaults
    are those of its reimplementation Open-MAGVIT2 (arXiv:2409.04410).
    """

    default_loss_weights: ClassVar = {"commitment": 0.25, "sample_entropy": 0.1, "imbalance": 0.1}

    def __init__(self, num_codes: int, code_dim: int, *, temperature: float = 0.01, group_bits: int = 10):
        super().__init__(num_codes, code_dim, temperature=temperature, group_bits=group_bits)
