"""The VQ-VAE recipe: masked reconstruction and the quantizer's losses (van den Oord et al., 2017, eq. 3)."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ..arguments import TrainingArguments
from ..objective import Batch
from .arguments import VQVAEArguments
from .autoencoder import AutoencoderObjective, AutoencoderTraining, norm_figure


class VQVAEObjective(AutoencoderObjective):
    """One player, the autoencoder."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        arguments: TrainingArguments[VQVAEArguments],
        num_steps: int,
    ):
        self.accelerator = accelerator
        weights = {"reconstruction": arguments.recipe.reconstruction_weight}
        self.autoencoder = AutoencoderTraining(accelerator, model, arguments, num_steps, weights)
        self.players = {"model": self.autoencoder.player}
        self.progress = tuple(self.autoencoder.weights)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        autoencoder = self.autoencoder
        output = self.player.network(batch["pixel_values"], quantize=autoencoder.quantize)
        losses = {"reconstruction": autoencoder.reconstruction_loss(output.sample, batch), **output.losses}
        total = autoencoder.weighted_sum(losses)
        autoencoder.observe(output)
        norm = norm_figure("model", self.player.update(total))
        return {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()} | norm

    def describe(self, step: int) -> dict[str, Any]:
        recipe = "the squared error on smoke and background, and the quantizer's losses"
        return {"recipe": recipe} | self.autoencoder.describe()
