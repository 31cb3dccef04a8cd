"""The VQ-VAE recipe: masked reconstruction plus the quantizer's own losses (van den Oord et al., 2017, eq. 3)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from ...losses import loss_weights, masked_mse
from ..arguments import TrainingArguments, option
from ..player import Player
from .codebook_health import CodebookKeeper


@dataclass
class VQVAEArguments(TrainingArguments):
    """Train a SmokeVQVAE: accelerate launch scripts/train_vqvae.py --config configs/config_vqvae.yaml."""

    reconstruction_weight: float = option(1.0, "Weight of the masked MSE.")
    commitment_weight: float = option(0.1, "Weight of the commitment loss, the paper's beta.")
    codebook_weight: float = option(1.0, "Weight of the codebook loss.")
    background_weight: float = option(0.2, "Weight of background pixels in the masked MSE; smoke has 1.")
    continuous_steps: int = option(0, "Optimizer steps before quantization starts, and with it the k-means start.")
    codebook_init_vectors: int = option(32768, "Latents for the k-means start of the codebook; 0 for none.")
    revive_every: int = option(50, "Optimizer steps between revivals of dead codes; 0 for none.")
    revive_until: float = option(0.8, "Share of the training after which no code is revived.")

    @property
    def starts_trained(self) -> bool:
        """Whether encoder and codebook are trained before the first step."""
        return False


class VQVAEObjective:
    """One player, the autoencoder.

    The first player is what is validated and exported, with its `companions` beside it; the best by `best_metric`, the
    lower the better. `begin_step` sees all micro-batches of an optimizer step, `step` one of them, `end_step` the moved
    weights.
    """

    best_metric = "masked_mse"

    def __init__(self, accelerator: Accelerator, model: nn.Module, arguments: VQVAEArguments, num_steps: int):
        for name in ("in_channels", "out_channels"):
            if model.config[name] != 3:
                raise ValueError(f"model.{name} expects 3, as frames are RGB, found {model.config[name]}.")
        self.continuous_steps = 0 if arguments.starts_trained else arguments.continuous_steps
        if self.continuous_steps >= num_steps:
            raise ValueError(
                f"continuous_steps {arguments.continuous_steps} leaves nothing of the {num_steps} steps of the "
                f"training: expected fewer."
            )
        self.accelerator, self.arguments = accelerator, arguments
        self.player = Player(accelerator, model, arguments, num_steps)
        self.players = {"model": self.player}
        self.keeper = CodebookKeeper(
            accelerator,
            self.player,
            self.player.unwrapped.quantizer,
            init_vectors=arguments.codebook_init_vectors,
            revive_every=arguments.revive_every,
            last_revival=int(arguments.revive_until * num_steps),
            seed=arguments.seed,
        )
        self.weights = {
            "reconstruction": arguments.reconstruction_weight,
            "commitment": arguments.commitment_weight,
            "codebook": arguments.codebook_weight,
        }

    def companions(self) -> dict[str, nn.Module]:
        """Networks to save beside the model, by the name of their folder."""
        return {}

    def alarms(self) -> list[str]:
        """What went wrong since it was last asked, in sentences."""
        return []

    def begin_training(self, batches: Iterable[dict[str, torch.Tensor]], step: int = 0) -> None:
        """Called once before the first step of a training, or of its resumption after `step` steps.

        Args:
            batches: training batches to start the codebook from.
        """
        self.batches = batches
        if step == self.continuous_steps == 0:
            self.keeper.initialise(batches)

    def begin_step(self, batches: list[dict[str, torch.Tensor]], step: int) -> None:
        """Weigh the whole of step `step` (from 1), so that its gradient does not depend on how it is split.

        DDP averages gradients over processes and accelerate over micro-batches; dividing each part by the mean weight
        of a part makes the sum of both what one large batch gives.
        """
        self.quantize = step > self.continuous_steps
        if self.quantize and step == self.continuous_steps + 1 > 1:
            self.keeper.initialise(self.batches)
        weights = [loss_weights(batch["mask"], self.arguments.background_weight).sum() for batch in batches]
        self.total_weight = self.accelerator.reduce(torch.stack(weights).mean(), "mean")

    def step(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Learn from a micro-batch; return its losses by name, unweighted, and their weighted `total`."""
        target = batch["pixel_values"]
        output = self.player.network(target, quantize=self.quantize)
        reconstruction = masked_mse(
            output.sample, target, batch["mask"], self.arguments.background_weight, self.total_weight
        )
        losses = {"reconstruction": reconstruction, **output.losses}
        total = self._weighted(losses)
        figures = self._norm("model", self.player.update(total))
        if self.quantize:
            self.keeper.observe(output.latents, output.indices)
        return {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()} | figures

    def end_step(self, step: int) -> None:
        if self.quantize:
            self.keeper.end_step(step)

    def _weighted(self, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        """Without quantization the codebook's losses still take part, at weight 0: DDP wants every parameter used."""
        on = {name: float(self.quantize or name not in ("commitment", "codebook")) for name in losses}
        return sum(on[name] * self.weights[name] * loss for name, loss in losses.items())

    @staticmethod
    def _norm(name: str, norm: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The gradient's norm before clipping, known at the last micro-batch of a step."""
        return {} if norm is None else {f"gradient_norm_{name}": norm.detach()}
