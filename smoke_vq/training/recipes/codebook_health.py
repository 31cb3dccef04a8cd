"""Codebook health in training: k-means initialization on the latents, and the revival of unused codes."""

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from ...float64 import finest_dtype
from ...metrics import expected_usage
from ...quantizers import Quantizer
from ...quantizers.kmeans import kmeans
from ...quantizers.nearest import nearest_codes
from ..player import Player

DEAD_SHARE = 1 / 32  # of the use that each code would have under uniform use
USAGE_DECAY = 0.99  # of the running count of each code's use
COLLAPSED_USAGE = 0.1  # of the number of codes that uniform use would show on as many tokens


class CodebookHealth:
    """k-means initialization of a learned codebook, and revival of unused codes (arXiv:2107.03312, section 3.3).

    A code is unused when its running use falls below (N / K) / 32, where N is the number of tokens of a whole step over
    all processes: a fixed threshold would revive every code at small batches. The code moves to a latent that is drawn
    with a probability proportional to the squared distance from its own code, so that new codes go where the error is
    and not to the black background. All statistics are summed over processes, random draws are broadcast, and the state
    is part of the checkpoint.

    Args:
        revival_steps: optimizer steps between revivals; 0 disables them.
        last_revival: the last step that may revive codes, so that the codebook can settle.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        player: Player,
        quantizer: Quantizer,
        revival_steps: int,
        last_revival: int,
        seed: int,
    ):
        self.accelerator, self.player, self.quantizer, self.seed = accelerator, player, quantizer, seed
        self.revival_steps, self.last_revival = revival_steps, last_revival
        self.counts = torch.zeros(quantizer.num_codes, device=accelerator.device)
        self.usage = torch.zeros_like(self.counts)
        self.certainty = 0.0  # usage / certainty is the mean use, as in Adam's bias correction
        self.pool: torch.Tensor | None = None
        self.num_revived = 0
        accelerator.register_for_checkpointing(self)

    def initialize(self, latents: torch.Tensor) -> None:
        """Move the codes to the k-means centres of `latents` (N, D, 1, 1), the same on all processes."""
        vectors = _vectors(self.quantizer, latents)
        centres = broadcast(kmeans(vectors, self.quantizer.num_codes, seed=self.seed))
        self._overwrite(torch.arange(len(centres), device=centres.device), centres)

    def observe(self, latents: torch.Tensor, indices: torch.Tensor) -> None:
        """Count the codes of a micro-batch: latents (B, D, h, w), indices (B, h, w)."""
        used = indices.flatten()
        self.counts.index_add_(0, used, torch.ones_like(used, dtype=self.counts.dtype))  # bincount waits for a GPU
        self.pool = _vectors(self.quantizer, latents)

    def end_step(self, step: int) -> None:
        """Update the running use after optimizer step `step` (from 1), and revive codes when a revival is due."""
        if self.revival_steps == 0:
            return
        counts = self.accelerator.reduce(self.counts, "sum")
        self.counts = torch.zeros_like(self.counts)
        expected = counts.sum() / self.quantizer.num_codes
        self.usage = USAGE_DECAY * self.usage + (1 - USAGE_DECAY) * counts
        self.certainty = USAGE_DECAY * self.certainty + (1 - USAGE_DECAY)
        if step % self.revival_steps == 0 and step <= self.last_revival:
            self._revive(expected, step)
        self.pool = None

    def forget_step(self) -> None:
        """Forget what was observed since the last optimizer step."""
        self.counts, self.pool = torch.zeros_like(self.counts), None

    def _revive(self, expected: torch.Tensor, step: int) -> None:
        assert self.pool is not None
        dead = (self.usage < expected * DEAD_SHARE * self.certainty).nonzero().flatten()
        vectors = self.accelerator.gather(self.pool)
        dead = dead[: len(vectors)]
        if len(dead) == 0:
            return
        codes = self.quantizer.codes().detach()
        distances = (vectors - codes[nearest_codes(vectors, codes)]).square().sum(dim=1)
        distances = distances.to(finest_dtype(distances.device))
        generator = torch.Generator(vectors.device).manual_seed((self.seed * 1_000_003 + step) % (1 << 63))
        drawn = torch.multinomial(distances + distances.mean() * 1e-6 + 1e-12, len(dead), generator=generator)
        self._overwrite(dead, broadcast(vectors[drawn].contiguous()))
        self.usage[dead] = expected * self.certainty
        self.num_revived += len(dead)

    def _overwrite(self, rows: torch.Tensor, vectors: torch.Tensor) -> None:
        assert self.quantizer.codebook is not None
        self.player.overwrite_rows(self.quantizer.codebook, rows, vectors)
        self.quantizer.codes_replaced(rows)

    def state_dict(self) -> dict:
        return {"usage": self.usage, "certainty": self.certainty, "num_revived": self.num_revived}

    def load_state_dict(self, state: dict) -> None:
        self.usage = state["usage"].to(self.counts.device)
        self.certainty = state["certainty"]
        self.num_revived = state["num_revived"]


@torch.no_grad()
def _vectors(quantizer: Quantizer, latents: torch.Tensor) -> torch.Tensor:
    """(B, D, h, w) to (B h w, d) in the space of the codes."""
    return quantizer.to_code_space(latents.detach()).flatten(0, 2)


def codebook_alarms(figures: dict[str, float], num_codes: int) -> list[str]:
    """A sentence if few codes are in use, from the figures of a validation (see `smoke_vq.metrics.CodebookUsage`)."""
    if "num_codes_used" not in figures:
        return []
    used, tokens = int(figures["num_codes_used"]), int(figures["num_tokens"])
    expected = expected_usage(num_codes, tokens) * num_codes
    if used >= COLLAPSED_USAGE * expected:
        return []
    return [
        f"The codebook has collapsed: {used} of {num_codes} codes are used by {tokens} tokens (uniform use would show "
        f"{expected:.0f}). Try --codebook-init-vectors 32768, --revival-steps 50, a lower --lr."
    ]
