"""How many codes the smoke gets, and the size of the codes after entropy coding."""

import math

import torch
import torch.nn.functional as F

from .codebook import code_counts, code_entropies
from .figure import Figure
from .metric import Batch, Metric
from .plume import VISIBLE


class CodeEntropy(Metric):
    """Entropy of the codes over all tokens and over tokens with smoke. No figures for models without codes.

    - `smoke_perplexity`: `exp(-sum p log p)` of the frequencies p of the codes at positions with smoke. A position has
      smoke where the mask is above 12/255 at any pixel of its patch;
    - `num_smoke_tokens`: the number of these positions;
    - `entropy_bits`: mean size of a frame by an ideal entropy coder that knows the frequencies of the codes of these
      frames and no context, `-sum log2 p` over the codes of a frame. The table of frequencies does not count.

    Each code of a position, if there are several, has frequencies of its own: the perplexity is that of their mean
    entropy, as in `CodebookUsage`, and their bits are added, as if they were independent. The figures of smoke are left
    out if the mask is unknown, and the perplexity also for a dataset without smoke.
    """

    figures = (
        Figure("smoke_perplexity", "perplexity on smoke", "higher", ".1f", meaning="perplexity of patches with smoke"),
        Figure("num_smoke_tokens", "tokens with smoke", None, "d", meaning="number of patches with smoke"),
        Figure("entropy_bits", "entropy", "lower", ".1f", "bits", "a frame by an ideal zero-order entropy coder"),
    )

    def update(self, batch: Batch) -> None:
        if batch.indices is None or batch.num_codes is None:
            return
        codes = batch.indices.flatten(3) if batch.indices.ndim > 3 else batch.indices.unsqueeze(3)  # (B, h, w, depth)
        self.add("counts", code_counts(codes.flatten(0, 2), batch.num_codes))
        self.add("num_frames", torch.tensor(len(codes), device=codes.device))
        if batch.mask is not None:
            smoke = F.adaptive_max_pool2d(batch.mask.float(), codes.shape[1:3])[:, 0] > VISIBLE
            self.add("smoke_counts", code_counts(codes[smoke], batch.num_codes))

    def compute(self) -> dict[str, float]:
        if not self.sums:
            return {}
        counts, figures = self.sums["counts"], {}
        if "smoke_counts" in self.sums:
            smoke_counts = self.sums["smoke_counts"]
            num_tokens = int(smoke_counts[0].sum())
            if num_tokens > 0:
                figures["smoke_perplexity"] = math.exp(code_entropies(smoke_counts).mean())
            figures["num_smoke_tokens"] = num_tokens
        bits = (code_entropies(counts) * counts.sum(dim=1)).sum() / math.log(2)
        return figures | {"entropy_bits": float(bits / self.sums["num_frames"])}
