"""An alarm about latents that leave their codes."""

from collections.abc import Callable

import torch

from ...quantizers import EMAVectorQuantizer, Quantizer, SimVectorQuantizer, VectorQuantizer

FAR = 0.1  # mean squared distance of latents from their codes, as a share of the latents' variance; usual is 0.02


class CodeDistances:
    """Measures how far latents are from their codes, since the last call of `alarms`.

    If the other losses pull the encoder harder than the commitment loss, the latents grow faster than the codes can
    follow, and what the decoder gets is far from what the encoder says. Only for quantizers that look up the nearest
    code in Euclidean distance: others, such as those with codes on the unit sphere, are far from their latents by
    nature.
    """

    def __init__(self, quantizer: Quantizer):
        self.quantizer = quantizer
        is_plain = isinstance(quantizer, VectorQuantizer | EMAVectorQuantizer) and not quantizer.cosine
        self.is_measured = is_plain and not isinstance(quantizer, SimVectorQuantizer)
        self.reset()

    def reset(self) -> None:
        self.sums: torch.Tensor | None = None

    @torch.no_grad()
    def observe(self, latents: torch.Tensor, indices: torch.Tensor) -> None:
        """Add a micro-batch: latents (B, D, h, w), indices (B, h, w). Nothing waits for a GPU."""
        if not self.is_measured:
            return
        vectors = self.quantizer.to_code_space(latents).flatten(0, 2)
        error = (vectors - self.quantizer.codes()[indices.flatten()]).square().sum()
        sums = torch.stack([error, (vectors - vectors.mean(dim=0)).square().sum()])
        self.sums = sums if self.sums is None else self.sums + sums

    def alarms(self, over_processes: Callable[[torch.Tensor], torch.Tensor] = lambda sums: sums) -> list[str]:
        """A sentence if the latents are far from their codes; `over_processes` adds over them."""
        if self.sums is None:
            return []
        error, variance = over_processes(self.sums).tolist()
        self.reset()
        if error <= FAR * variance:
            return []
        return [
            f"The latents leave their codes: their mean squared distance is {error / variance:.2f} of the latents' "
            f"variance (usual is 0.02). Raise --quantizer-loss-weights.commitment, or lower the other weights."
        ]
