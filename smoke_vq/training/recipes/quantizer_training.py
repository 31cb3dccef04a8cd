"""What a quantizer needs in training besides gradients: its start on the latents, revivals, running statistics."""

from collections.abc import Iterable

import torch
from accelerate import Accelerator

from ...quantizers import Quantizer
from ...quantizers.checks import check_enough_latents
from ..player import Player
from .code_distances import CodeDistances
from .codebook_health import CodebookHealth


class QuantizerTraining:
    """Starts and looks after the codebooks of a quantizer, one for each of its leaves that has one.

    Args:
        player: of a network with `encode` and `quantizer`.
        init_vectors: latents to gather over all processes for k-means; 0 leaves the codebooks unchanged.
        revival_steps: optimizer steps between revivals; 0 disables them.
        last_revival: the last step that may revive codes.
        frozen: the codes must stay what they are.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        player: Player,
        init_vectors: int,
        revival_steps: int,
        last_revival: int,
        frozen: bool,
        seed: int,
    ):
        self.accelerator, self.player, self.init_vectors, self.frozen = accelerator, player, init_vectors, frozen
        self.quantizer: Quantizer = player.unwrapped.quantizer
        # The latents do not matter here: the leaves and their order are always the same.
        anything = torch.zeros(1, self.quantizer.code_dim, 1, 1, device=accelerator.device)
        self.leaves = [leaf for leaf, _, _ in self.quantizer.leaves(anything)]
        steps = 0 if frozen else revival_steps
        self.healths = [
            None if leaf.codebook is None else CodebookHealth(accelerator, player, leaf, steps, last_revival, seed + i)
            for i, leaf in enumerate(self.leaves)
        ]
        self.distances = CodeDistances(self.quantizer)

    def initialize(self, batches: Iterable[dict[str, torch.Tensor]]) -> None:
        """Encode batches until there are `init_vectors` latents, and move the codes to their k-means centres.

        Raises:
            ValueError: the data give fewer latents than codes.
        """
        if self.init_vectors == 0 or not any(self.healths):
            return
        gathered, found = [], 0
        for batch in batches:
            with torch.no_grad(), self.accelerator.autocast():
                latents = self.player.unwrapped.encode(batch["pixel_values"]).latents
            vectors = latents.float().permute(0, 2, 3, 1).flatten(0, 2)
            gathered.append(self.accelerator.gather(vectors))
            found += len(gathered[-1])
            if found >= self.init_vectors:
                break
        check_enough_latents(self.quantizer, found)
        vectors = torch.cat(gathered)[: max(self.init_vectors, self.quantizer.num_codes)]
        with torch.no_grad():
            leaves = self.quantizer.leaves(vectors[:, :, None, None])
            for health, (_, latents, _) in zip(self.healths, leaves, strict=True):
                if health is not None:
                    health.initialize(latents)

    def observe(self, latents: torch.Tensor, indices: torch.Tensor) -> None:
        """Take note of a micro-batch: latents (B, D, h, w), indices (B, h, w) or (B, h, w, depth)."""
        if self.frozen:
            return
        self.distances.observe(latents, indices)
        with torch.no_grad():
            leaves = self.quantizer.leaves(latents.detach(), indices)
            for health, (leaf, own_latents, own_indices) in zip(self.healths, leaves, strict=True):
                leaf.observe(own_latents, own_indices)
                if health is not None:
                    health.observe(own_latents, own_indices)

    def end_step(self, step: int) -> None:
        """After optimizer step `step` (from 1)."""
        if self.frozen:
            return
        for health, leaf in zip(self.healths, self.leaves, strict=True):
            leaf.end_step(lambda value: self.accelerator.reduce(value, "sum"))
            if health is not None:
                health.end_step(step)

    def forget_step(self) -> None:
        """After an optimizer step that is left out."""
        self.distances.reset()  # its latents may not be finite
        for health, leaf in zip(self.healths, self.leaves, strict=True):
            leaf.forget_step()
            if health is not None:
                health.forget_step()
