"""How much of the codebook is in use."""

import torch

from .accumulator import Accumulator


def expected_usage(num_codes: int, num_tokens: int) -> float:
    """Share of the codes that perfectly uniform use would show on `num_tokens` tokens, `1 - (1 - 1/K)^N`.

    With 1,024 codes: 0.63 on 1,024 tokens, 0.87 on 2,048. A usage says nothing without it.
    """
    return 1 - (1 - 1 / num_codes) ** num_tokens


class CodebookUsage(Accumulator):
    """Counts codes over a dataset.

    - `num_codes_used`, and `codebook_usage`, their share of the codebook;
    - `perplexity`: `exp(-sum p log p)` of the code frequencies, K for uniform use, 1 when one code serves all;
    - `num_tokens`: how many codes were counted.
    """

    def __init__(self, num_codes: int):
        super().__init__()
        self.num_codes = num_codes

    def update(self, indices: torch.Tensor) -> None:
        """indices: integers in [0, num_codes), any shape."""
        self.add("counts", torch.bincount(indices.flatten(), minlength=self.num_codes))

    def compute(self) -> dict[str, float]:
        counts = self.sums["counts"]
        frequency = counts / counts.sum()
        entropy = -torch.special.xlogy(frequency, frequency).sum()
        used = int((counts > 0).sum())
        return {
            "num_codes_used": used,
            "codebook_usage": used / self.num_codes,
            "perplexity": float(entropy.exp()),
            "num_tokens": int(counts.sum()),
        }
