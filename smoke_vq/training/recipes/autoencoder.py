"""What the VQVAE and VQGAN recipes share: reconstruction and quantizer losses, and the start of quantization."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ...data.loader import FrameLoader
from ...losses import loss_weights, masked_mse
from ...model_values import check_image_channels
from ...quantizers.checks import check_loss_names
from ...tokens import latent_statistics, model_digest
from ..arguments import TrainingArguments
from ..objective import Batch, Objective
from ..player import Player
from .codebook_health import codebook_alarms
from .quantizer_training import QuantizerTraining

STATISTICS_FRAMES = 16_384  # at most so many, evenly spaced, for the statistics of the latents
COLLAPSED_DIVERSITY = 0.05  # variance of the outputs over frames, as a share of that of the targets


class AutoencoderTraining:
    """An autoencoder as a player, its losses, and the training of its quantizer.

    The digest of the weights that the training started from is part of the checkpoint, because a resumed run may find
    other weights under the same name.

    Args:
        weights: weights of the losses other than the quantizer's, by name.

    Raises:
        ValueError: a model that does not take RGB or grey frames; continuous_steps as long as the training; a weight
            for a loss that the quantizer does not have.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        arguments: TrainingArguments,
        num_steps: int,
        weights: dict[str, float],
    ):
        recipe = arguments.recipe
        check_image_channels(model.config)
        self.starts_trained = recipe.starts_trained
        self.continuous_steps = 0 if self.starts_trained else recipe.continuous_steps
        if self.continuous_steps >= num_steps:
            raise ValueError(
                f"continuous_steps {recipe.continuous_steps} leaves none of the {num_steps} steps of the training for "
                f"quantization: expected fewer."
            )
        self.accelerator, self.background_weight = accelerator, recipe.background_weight
        self.player = Player(accelerator, model, arguments.optimization, num_steps)
        quantizer = self.player.unwrapped.quantizer
        self.quantizer_losses = tuple(quantizer.default_loss_weights)
        check_loss_names(quantizer, recipe.quantizer_loss_weights)
        taken = [name for name in self.quantizer_losses if name in (*weights, "total")]
        if taken:
            raise ValueError(f"{type(quantizer).__name__} names a loss {taken[0]!r}, which the recipe has already.")
        self.weights = weights | quantizer.default_loss_weights | recipe.quantizer_loss_weights
        self.num_codes = quantizer.num_codes * quantizer.depth
        self.quantizer_training = QuantizerTraining(
            accelerator,
            self.player,
            # The codebook of a trained model already fits its latents.
            init_vectors=0 if self.starts_trained else recipe.codebook_init_vectors,
            revival_steps=recipe.revival_steps,
            last_revival=int(recipe.revive_until * num_steps),
            frozen=recipe.freezes_codebook,
            seed=arguments.run.seed,
        )
        self.quantize = False
        self.base_model_sha256 = ""
        if self.starts_trained:
            self.base_model_sha256 = model_digest(self.player.unwrapped)
            accelerator.register_for_checkpointing(self)

    def state_dict(self) -> dict[str, str]:
        return {"base_model_sha256": self.base_model_sha256}

    def load_state_dict(self, state: dict[str, str]) -> None:
        self.base_model_sha256 = state["base_model_sha256"]

    def begin_training(self, batches: Iterable[Batch], step: int) -> None:
        self.batches = batches
        self.quantize = self.starts_trained or step > self.continuous_steps  # for a validation before the next step
        if step == self.continuous_steps == 0:
            self.quantizer_training.initialize(self.batches)

    def begin_step(self, batches: list[Batch], step: int) -> None:
        self.quantize = step > self.continuous_steps
        if self.quantize and step == self.continuous_steps + 1 > 1:
            self.quantizer_training.initialize(self.batches)
        self.total_weight = mean_weight(self.accelerator, batches, self.background_weight)

    def end_step(self, step: int) -> None:
        if self.quantize:
            self.quantizer_training.end_step(step)

    def skip_step(self) -> None:
        self.quantizer_training.forget_step()

    def reconstruction_loss(self, sample: torch.Tensor, batch: Batch) -> torch.Tensor:
        return masked_mse(sample, batch["pixel_values"], batch["mask"], self.background_weight, self.total_weight)

    def observe(self, output) -> None:
        """Pass the latents and codes of a micro-batch to the training of the quantizer, before the weights change."""
        if self.quantize:
            self.quantizer_training.observe(output.latents, output.indices)

    def weighted_sum(self, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        """The total loss. Before quantization the quantizer's losses have weight 0: DDP needs every parameter used."""
        undeclared = sorted(losses.keys() - self.weights.keys())
        if undeclared:
            raise ValueError(f"The quantizer's loss {undeclared[0]!r} is missing from its default_loss_weights.")
        on = {name: float(self.quantize or name not in self.quantizer_losses) for name in losses}
        return sum(on[name] * self.weights[name] * loss for name, loss in losses.items())

    def reconstruction_score(self, figures: dict[str, float]) -> float:
        return reconstruction_score(figures, self.background_weight)

    def measure_latents(self, model: nn.Module, loader: FrameLoader) -> None:
        """Add mean and standard deviation of each latent channel over training frames to the model's configuration.

        With encoder and codebook frozen, those that the model has stay, because generative models may depend on them.
        """
        if self.quantizer_training.frozen and model.config.latents_mean is not None:
            return
        mean, std = latent_statistics(model, loader.in_order(STATISTICS_FRAMES), self.accelerator)
        model.register_to_config(latents_mean=mean, latents_std=std)

    def describe(self) -> dict[str, Any]:
        """Facts for the card: the digest of the weights that the training started from, if they were trained."""
        return {"base_model_sha256": self.base_model_sha256} if self.starts_trained else {}

    def alarms(self, figures: dict[str, float]) -> list[str]:
        sentences = codebook_alarms(figures, self.num_codes) if self.quantize else []
        sentences += self.quantizer_training.distances.alarms(lambda sums: self.accelerator.reduce(sums, "sum"))
        if is_blank(figures):
            sentences.append(
                f"The outputs look alike: their variance over frames is {figures['diversity']:.3f} of that of the "
                f"inputs. Try a lower --lr, a longer --warmup-steps, a lower --background-weight."
            )
        return sentences


class AutoencoderObjective(Objective):
    """An objective with an autoencoder; a recipe adds its `step`, and what it has in addition to the autoencoder."""

    summary: tuple[str, ...] = ("masked_mse", "background_mse", "psnr", "num_codes_used", "perplexity", "num_tokens")
    autoencoder: AutoencoderTraining

    @property
    def starts_trained(self) -> bool:
        return self.autoencoder.starts_trained

    def begin_training(self, batches: Iterable[Batch], step: int = 0) -> None:
        self.autoencoder.begin_training(batches, step)

    def begin_step(self, batches: list[Batch], step: int) -> None:
        self.autoencoder.begin_step(batches, step)

    def end_step(self, step: int) -> None:
        self.autoencoder.end_step(step)

    def skip_step(self, step: int) -> None:
        self.autoencoder.skip_step()

    def score(self, figures: dict[str, float]) -> float:
        return self.autoencoder.reconstruction_score(figures)

    def is_complete(self) -> bool:
        return self.autoencoder.quantize

    def alarms(self, figures: dict[str, float]) -> list[str]:
        return self.autoencoder.alarms(figures)

    def finish(self, model: nn.Module, loader: FrameLoader) -> None:
        self.autoencoder.measure_latents(model, loader)


def mean_weight(accelerator: Accelerator, batches: list[Batch], background_weight: float) -> torch.Tensor:
    """The pixel weights of a part of the step, on average, so that a gradient does not depend on how a step is split.

    DDP averages gradients over processes, and accelerate over micro-batches: dividing each part by the mean weight of a
    part gives the gradient of one large batch.
    """
    weights = [loss_weights(batch["mask"], background_weight).sum() for batch in batches]
    return accelerator.reduce(torch.stack(weights).mean(), "mean")


def reconstruction_score(figures: dict[str, float], background_weight: float) -> float:
    """The weighted MSE that the training minimizes, over a validation; infinity for blank outputs.

    `masked_mse` alone ignores the background, so that an evenly grey image could pass for the best one.
    """
    smoke = figures["coverage"]
    parts = ((smoke, "masked_mse"), (background_weight * (1 - smoke), "background_mse"))
    weight = sum(share for share, name in parts if name in figures)
    if is_blank(figures) or weight == 0:
        return math.inf
    return sum(share * figures[name] for share, name in parts if name in figures) / weight


def is_blank(figures: dict[str, float]) -> bool:
    """Whether a model gives nearly the same output for every frame."""
    return figures.get("diversity", 1.0) < COLLAPSED_DIVERSITY


def norm_figure(name: str, norm: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The norm of a player's gradient before clipping, known after the last micro-batch of a step."""
    return {} if norm is None else {f"gradient_norm_{name}": norm.detach()}
