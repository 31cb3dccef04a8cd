"""The VQGAN recipe (Esser et al., 2021, arXiv:2012.09841, section 3.1): adds perceptual and adversarial losses."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ...losses.adversarial import LeCAM, adaptive_weight, generator_loss, hinge_discriminator_loss
from ..arguments import TrainingArguments
from ..objective import Batch
from ..player import Player
from .arguments import VQGANArguments
from .autoencoder import AutoencoderObjective, AutoencoderTraining, is_blank, norm_figure
from .discriminator_watch import DiscriminatorWatch


class VQGANObjective(AutoencoderObjective):
    """Two players and one forward pass of the autoencoder (one more with gradient accumulation).

    The autoencoder's gradient is computed at the reconstruction in two parts: that of the reconstruction and perceptual
    losses, and that of the adversarial loss through the frozen discriminator. The adaptive weight needs both only at
    the decoder's last convolution, and their weighted sum is backpropagated through the autoencoder once. The
    discriminator learns from the same reconstruction, detached. The gradients equal those of the usual four passes.

    Args:
        model: the autoencoder, with `decoder.conv_out`.
        discriminator: (B, 3, H, W) to logits; None where adversarial_weight is 0.
        perceptual: a module of `smoke_vq.losses.PERCEPTUAL_LOSSES`.
        discriminator_is_trained: whether the discriminator has learned before.

    Raises:
        ValueError: fp16; images too small for the perceptual loss or the discriminator.
    """

    summary = (*AutoencoderObjective.summary, "perceptual")
    watched = "reconstruction"
    progress = ("reconstruction", "perceptual", "adversarial", "discriminator")

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        discriminator: nn.Module | None,
        perceptual: nn.Module,
        arguments: TrainingArguments[VQGANArguments],
        num_steps: int,
        discriminator_is_trained: bool = False,
    ):
        recipe = arguments.recipe
        self.accelerator, self.recipe = accelerator, recipe
        self._check(model, discriminator, perceptual, num_steps)
        if recipe.train_only_decoder:
            model.encoder.requires_grad_(False)
            model.quantizer.requires_grad_(False)
        weights = {"reconstruction": recipe.reconstruction_weight, "perceptual": recipe.perceptual_weight}
        self.autoencoder = AutoencoderTraining(accelerator, model, arguments, num_steps, weights)
        self.players = {"model": self.autoencoder.player}
        self.perceptual = perceptual.to(accelerator.device)
        self.discriminator: Player | None = None
        self.discriminator_is_trained = discriminator_is_trained
        self.lecam, self.watch = LeCAM(), DiscriminatorWatch()
        self.first_discriminator_step = max(1, recipe.disc_start - recipe.disc_warmup_steps + 1)
        if discriminator is not None:
            steps = max(1, num_steps - self.first_discriminator_step + 1)
            self.discriminator = Player(
                accelerator,
                discriminator,
                arguments.optimization,
                steps,
                recipe.lr_disc,
                recipe.adam_beta1_disc,
                average=False,
            )
            self.players["discriminator"] = self.discriminator
            accelerator.register_for_checkpointing(self.lecam)

    def _check(self, model: nn.Module, discriminator: nn.Module | None, perceptual: nn.Module, num_steps: int) -> None:
        size = model.config.sample_size
        if self.accelerator.mixed_precision == "fp16":
            raise ValueError(
                "mixed_precision fp16 is not supported by VQGAN, whose gradients pass VGG16 and the discriminator "
                "without a loss scale: use bf16 or no."
            )
        if size < perceptual.min_size:
            raise ValueError(
                f"The perceptual loss needs images of {perceptual.min_size} pixels or more: found sample_size {size}."
            )
        if discriminator is not None:
            discriminator.logits_size(size)  # raises if the images are too small
            if self.recipe.disc_start >= num_steps:
                self.accelerator.print(
                    f"WARNING: disc_start {self.recipe.disc_start} is after the last of the {num_steps} steps: this "
                    f"training has no adversarial loss."
                )

    def begin_step(self, batches: list[Batch], step: int) -> None:
        super().begin_step(batches, step)
        self.discriminator_learns = self.discriminator is not None and step >= self.first_discriminator_step
        self.adversarial_pull = self._pull_at(step)
        self.logits: list[torch.Tensor] = []
        self.adaptive = None
        if self.adversarial_pull > 0 and len(batches) > 1:
            # The weight of the complete step must be known before the backward pass of its first micro-batch.
            parts = [self._gradients_at_last_layer(batch) for batch in batches]
            self.adaptive = self._adaptive_weight(*(torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True)))

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        autoencoder, target = self.autoencoder, batch["pixel_values"]
        output = self.player.network(target, quantize=autoencoder.quantize)
        losses, gradient = self._similarity(output.sample, batch)
        total = autoencoder.weighted_sum(losses | output.losses)
        figures: dict[str, torch.Tensor] = {}
        if self.adversarial_pull > 0:
            losses["adversarial"], adversarial = self._adversarial(output.sample)
            weight, raw = self.adaptive or self._adaptive_weight(
                self._at_last_layer(output.sample, gradient), self._at_last_layer(output.sample, adversarial)
            )
            pull = self.adversarial_pull * weight
            gradient = gradient + pull * adversarial
            total = total + pull * losses["adversarial"]
            figures |= {"adaptive_weight": weight, "adaptive_weight_raw": raw, "adversarial_pull": pull}
        autoencoder.observe(output)
        # The gradient of the first term at the sample is `gradient`; the quantizer's losses do not pass the sample.
        norm = self.player.update((output.sample * gradient).sum() + autoencoder.weighted_sum(output.losses))
        figures |= norm_figure("model", norm)
        if self.discriminator_learns:
            figures |= self._teach_discriminator(target, output.sample.detach())
        return {n: value.detach() for n, value in (losses | output.losses | {"total": total} | figures).items()}

    def end_step(self, step: int) -> None:
        super().end_step(step)
        if self.logits:
            means = self.accelerator.reduce(torch.stack(self.logits).mean(dim=0), "mean")
            self.lecam.update(*means)

    def score(self, figures: dict[str, float]) -> float:
        return float("inf") if is_blank(figures) else figures["perceptual"]

    def alarms(self, figures: dict[str, float]) -> list[str]:
        watched = self.watch.alarms(lambda sums: self.accelerator.reduce(sums, "mean"))
        return super().alarms(figures) + watched

    def companions(self) -> dict[str, nn.Module]:
        """The discriminator, once it has learned."""
        if self.discriminator is None:
            return {}
        if not self.discriminator_is_trained and self.discriminator.scheduler.last_epoch == 0:
            return {}
        return {"discriminator": self.discriminator.unwrapped}

    def describe(self, step: int) -> dict[str, Any]:
        losses = ["the squared error on smoke and background"]
        losses += ["a perceptual loss"] if self.recipe.perceptual_weight > 0 else []
        losses += ["an adversarial loss"] if self._pull_at(step) > 0 else []
        return {"recipe": ", ".join([*losses, "and the quantizer's losses"])} | self.autoencoder.describe()

    def _similarity(self, sample: torch.Tensor, batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Reconstruction and perceptual loss, and the gradient of their weighted sum at the sample."""
        target, image = batch["pixel_values"], sample.detach().requires_grad_()
        losses = {"reconstruction": self.autoencoder.reconstruction_loss(image, batch)}
        if self.recipe.perceptual_weight > 0:
            with self.accelerator.autocast():
                with torch.no_grad():
                    features = self.perceptual.features(target)
                losses["perceptual"] = self.perceptual.distance(self.perceptual.features(image), features).mean()
        return losses, torch.autograd.grad(self.autoencoder.weighted_sum(losses), image)[0]

    def _adversarial(self, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The adversarial loss, and its gradient at the sample; the discriminator's parameters get no gradient."""
        assert self.discriminator is not None
        image = sample.detach().requires_grad_()
        with self.accelerator.autocast():
            loss = generator_loss(self.discriminator.unwrapped(image))
        return loss, torch.autograd.grad(loss, image)[0]

    def _teach_discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> dict[str, torch.Tensor]:
        """A step of the discriminator; real and fake in one batch, so that a batch norm has one set of statistics."""
        assert self.discriminator is not None
        real_logits, fake_logits = self.discriminator.network(torch.cat([real, fake])).chunk(2)
        hinge = hinge_discriminator_loss(real_logits, fake_logits)
        lecam = self.lecam.loss(real_logits, fake_logits)
        norm = self.discriminator.update(hinge + self.recipe.lecam_weight * lecam)
        self.logits.append(torch.stack([real_logits.detach().mean(), fake_logits.detach().mean()]))
        figures = {
            "discriminator": hinge,
            "logits_real": self.logits[-1][0],
            "logits_fake": self.logits[-1][1],
            "accuracy_real": (real_logits > 0).float().mean(),
            "accuracy_fake": (fake_logits < 0).float().mean(),
        }
        if self.adversarial_pull > 0:
            self.watch.observe(figures)
        return figures | ({"lecam": lecam} if self.recipe.lecam_weight else {}) | norm_figure("discriminator", norm)

    def _pull_at(self, step: int) -> float:
        """The weight of the adversarial loss in step `step` (from 1): 0, then a ramp, then the full weight."""
        if self.discriminator is None or step <= self.recipe.disc_start:
            return 0.0
        ramp = min(1.0, (step - self.recipe.disc_start) / max(1, self.recipe.disc_ramp_steps))
        return self.recipe.adversarial_weight * ramp

    def _gradients_at_last_layer(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        with self.accelerator.autocast():
            sample = self.player.unwrapped(batch["pixel_values"], quantize=self.autoencoder.quantize).sample
        gradients = self._similarity(sample, batch)[1], self._adversarial(sample)[1]
        return tuple(self._at_last_layer(sample, gradient) for gradient in gradients)

    def _at_last_layer(self, sample: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        weight = self.player.unwrapped.decoder.conv_out.weight
        return torch.autograd.grad(sample, weight, gradient, retain_graph=True)[0]

    def _adaptive_weight(self, gradient: torch.Tensor, adversarial: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The adaptive weight of the complete step, from the means of the gradients over processes."""
        gradient, adversarial = (self.accelerator.reduce(part, "mean") for part in (gradient, adversarial))
        return adaptive_weight(gradient, adversarial, self.recipe.disc_weight_max)
