"""Usage of the codebook."""

import torch

from .figure import Figure
from .metric import Batch, Metric


def expected_usage(num_codes: int, num_tokens: int) -> float:
    """Expected `codebook_usage` of uniformly distributed codes over `num_tokens` tokens, `1 - (1 - 1/K)^N`.

    With 1,024 codes: 0.63 for 1,024 tokens, 0.87 for 2,048. Compare a measured usage with it.
    """
    return 1 - (1 - 1 / num_codes) ** num_tokens


def code_counts(codes: torch.Tensor, num_codes: int) -> torch.Tensor:
    """How often each code occurs in codes (N, depth): (depth, num_codes)."""
    return torch.stack([torch.bincount(level, minlength=num_codes) for level in codes.unbind(dim=1)])


def code_entropies(counts: torch.Tensor) -> torch.Tensor:
    """`-sum p log p` of the frequencies of counts (depth, num_codes): (depth,), nats."""
    frequency = counts / counts.sum(dim=1, keepdim=True)
    return -torch.special.xlogy(frequency, frequency).sum(dim=1)


class CodebookUsage(Metric):
    """Counts the codes that a model uses. No figures for models without codes.

    If a position has several codes, each of them has a codebook and frequencies of its own: codes in use and tokens are
    counted over all codebooks, and the perplexity is that of the mean entropy, so that its largest value is K whatever
    the depth.
    """

    figures = (
        Figure("num_codes_used", "codes in use", None, "d", meaning="codes that occur at least once"),
        Figure("codebook_usage", "codebook usage", "higher", ".3f", meaning="share of the codebook that is in use"),
        Figure("perplexity", "perplexity", "higher", ".1f", meaning="exp(-sum p log p) of the code frequencies p"),
        Figure("num_tokens", "tokens", None, "d", meaning="number of codes counted"),
    )

    def update(self, batch: Batch) -> None:
        if batch.indices is None or batch.num_codes is None:
            return
        depth = batch.indices.shape[3] if batch.indices.ndim == 4 else 1
        self.add("counts", code_counts(batch.indices.reshape(-1, depth), batch.num_codes))

    def compute(self) -> dict[str, float]:
        if not self.sums:
            return {}
        counts = self.sums["counts"]
        used = int((counts > 0).sum())
        return {
            "num_codes_used": used,
            "codebook_usage": used / counts.numel(),
            "perplexity": float(code_entropies(counts).mean().exp()),
            "num_tokens": int(counts.sum()),
        }
