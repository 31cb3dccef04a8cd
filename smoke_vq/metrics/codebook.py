"""Usage of the codebook."""

import torch

from .figure import Figure
from .metric import Batch, Metric


def expected_usage(num_codes: int, num_tokens: int) -> float:
    """Expected `codebook_usage` of uniformly distributed codes over `num_tokens` tokens, `1 - (1 - 1/K)^N`.

    With 1,024 codes: 0.63 for 1,024 tokens, 0.87 for 2,048. Compare a measured usage with it.
    """
    return 1 - (1 - 1 / num_codes) ** num_tokens


class CodebookUsage(Metric):
    """Counts the codes that a model uses. No figures for models without codes."""

    figures = (
        Figure("num_codes_used", "codes in use", None, "d", meaning="codes that occur at least once"),
        Figure("codebook_usage", "codebook usage", "higher", ".3f", meaning="share of the codebook that is in use"),
        Figure("perplexity", "perplexity", "higher", ".1f", meaning="exp(-sum p log p) of the code frequencies p"),
        Figure("num_tokens", "tokens", None, "d", meaning="number of codes counted"),
    )

    def update(self, batch: Batch) -> None:
        if batch.indices is None or batch.num_codes is None:
            return
        self.add("counts", torch.bincount(batch.indices.flatten(), minlength=batch.num_codes))

    def compute(self) -> dict[str, float]:
        if not self.sums:
            return {}
        counts = self.sums["counts"]
        frequency = counts / counts.sum()
        entropy = -torch.special.xlogy(frequency, frequency).sum()
        used = int((counts > 0).sum())
        return {
            "num_codes_used": used,
            "codebook_usage": used / len(counts),
            "perplexity": float(entropy.exp()),
            "num_tokens": int(counts.sum()),
        }
