"""The recipe of a projection of latents: what comes back serves the decoder and the codes of a frozen autoencoder."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ...data.loader import FrameLoader
from ...hub.provenance import public_name
from ...losses import masked_mse
from ...tokens import principal_components
from ..arguments import TrainingArguments
from ..objective import Batch, Objective
from ..player import Player
from .arguments import LatentProjectionArguments
from .autoencoder import STATISTICS_FRAMES, mean_weight, norm_figure, reconstruction_score


class LatentProjectionObjective(Objective):
    """One player, the projection.

    - `latent`: mean of (y - z)^2 over the variance of z, with the latents z and what comes back of them, y. Principal
      components are the linear minimum.
    - `pixel`: masked MSE between the frames decoded from the codes of y and from those of z. The gradient passes the
      quantization straight through. The target is the autoencoder's own output, which the codes of z give exactly: no
      projection could correct the errors that the autoencoder makes.

    Args:
        autoencoder: trained, on the device; it is frozen.
        latent_variance: mean variance of the channels of the training latents.
        start: figures of the projection before training, by name.
    """

    summary = ("latent_error", "codes_unchanged", "masked_mse", "psnr")
    progress = ("latent", "pixel")

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        autoencoder: nn.Module,
        arguments: TrainingArguments[LatentProjectionArguments],
        num_steps: int,
        latent_variance: float,
        start: dict[str, float],
    ):
        self.accelerator, self.arguments = accelerator, arguments.recipe
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.latent_variance, self.start = latent_variance, start
        self.players = {"model": Player(accelerator, model, arguments.optimization, num_steps)}

    def begin_step(self, batches: list[Batch], step: int) -> None:
        self.total_weight = mean_weight(self.accelerator, batches, self.arguments.background_weight)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        autoencoder, recipe = self.autoencoder, self.arguments
        with torch.no_grad(), self.accelerator.autocast():
            encoded = autoencoder.encode(batch["pixel_values"])
            target = autoencoder.decode_indices(encoded.indices).sample
        latents = self.player.network(encoded.latents).latents
        with self.accelerator.autocast():
            sample = autoencoder.decode(latents).sample
        losses = {
            "latent": (latents.float() - encoded.latents.float()).square().mean() / self.latent_variance,
            "pixel": masked_mse(sample, target, batch["mask"], recipe.background_weight, self.total_weight),
        }
        total = recipe.latent_weight * losses["latent"] + recipe.pixel_weight * losses["pixel"]
        norm = norm_figure("model", self.player.update(total))
        return {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()} | norm

    def score(self, figures: dict[str, float]) -> float:
        """The weighted sum of both errors over a validation; decoded frames are compared with the frames themselves."""
        frames = reconstruction_score(figures, self.arguments.background_weight)
        return self.arguments.latent_weight * figures["latent_error"] + self.arguments.pixel_weight * frames

    def alarms(self, figures: dict[str, float]) -> list[str]:
        if self.score(figures) <= self.score(self.start):
            return []
        return [
            f"Worse than the principal components: latent error {figures['latent_error']:.2e} (was "
            f"{self.start['latent_error']:.2e}), masked MSE {figures['masked_mse']:.5f} (was "
            f"{self.start['masked_mse']:.5f}). Try a lower --lr."
        ]

    def finish(self, model: nn.Module, loader: FrameLoader) -> None:
        """Bring the projected channels back to mean 0 and mean variance 1."""
        batches = (
            model.project(self.autoencoder.encode(batch["pixel_values"]).latents)
            for batch in loader.in_order(STATISTICS_FRAMES).epoch(0)
        )
        found = principal_components(batches, self.accelerator)
        model.normalize_projected(found.mean, float(found.variances.mean()))

    def describe(self, step: int) -> dict[str, Any]:
        return {
            "recipe": "the squared error of latents and of frames decoded from their codes, the autoencoder frozen",
            "autoencoder": public_name(self.arguments.autoencoder or ""),
        }
