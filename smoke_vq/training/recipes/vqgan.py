"""The VQGAN recipe (Esser et al., 2021, arXiv:2012.09841, section 3.1): perceptual and adversarial losses join in."""

from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from torch import nn

from ...losses import masked_mse
from ...losses.adversarial import LeCAM, adaptive_weight, generator_loss, hinge_discriminator_loss
from ..alarms import DiscriminatorWatch
from ..arguments import option
from ..player import Player
from .vqvae import VQVAEArguments, VQVAEObjective


@dataclass
class VQGANArguments(VQVAEArguments):
    """Train a SmokeVQGAN: accelerate launch scripts/train_vqgan.py --config configs/config_vqgan.yaml."""

    lr_disc: float = option(1e-4, "Learning rate of the discriminator after warm-up.")
    adam_beta1_disc: float = option(0.5, "AdamW's first-moment decay for the discriminator, as in pix2pix and taming.")
    perceptual_weight: float = option(1.0, "Weight of the perceptual loss.")
    perceptual: Literal["vgg16", "lpips_vgg", "lpips_alex"] = option("vgg16", "Which perceptual loss.")
    perceptual_weights: str | None = option(None, "Safetensors file of its network (VGG16 or AlexNet).")
    adversarial_weight: float = option(0.5, "Weight of the adversarial loss, times the adaptive weight; 0 for no GAN.")
    disc_start: int = option(10000, "Optimizer steps before the discriminator pulls at the generator.")
    disc_warmup_steps: int = option(500, "Steps before disc_start in which it learns alone.")
    disc_ramp_steps: int = option(500, "Steps after disc_start over which its pull grows to the whole.")
    disc_weight_max: float = option(0.75, "Largest adaptive weight.")
    lecam_weight: float = option(0.0, "Weight of LeCAM regularisation in the discriminator's loss; 0 for none.")
    init_from: str | None = option(None, "Trained SmokeVQVAE or SmokeVQGAN to start from, a folder or Hub name.")
    fresh_discriminator: bool = option(False, "Start a new discriminator, also where init_from has one.")
    train_only_decoder: bool = option(False, "Freeze encoder and codebook, so that codes stay compatible.")
    discriminator: dict = option({}, "Keys of the discriminator's config.json.")

    def __post_init__(self):
        super().__post_init__()
        if self.train_only_decoder and self.init_from is None:
            raise ValueError("train_only_decoder needs init_from: an untrained encoder would stay untrained.")

    @property
    def starts_trained(self) -> bool:
        return self.init_from is not None


class VQGANObjective(VQVAEObjective):
    """Two players over one forward pass of the generator (and one more with gradient accumulation).

    The generator's gradient is taken in two parts, both at the reconstruction: of the reconstruction and perceptual
    losses, and of the adversarial loss through a discriminator that keeps still. The adaptive weight needs them at the
    decoder's last convolution only; their weighted sum goes back through the generator once. The discriminator learns
    from the same reconstruction, detached. The gradients are those of the usual two optimizers with four passes.

    Args:
        model: the generator, with `decoder.conv_out`.
        discriminator: (B, 3, H, W) to logits; None where adversarial_weight is 0.
        perceptual: a module of `smoke_vq.losses.PERCEPTUAL_LOSSES`.
    """

    best_metric = "perceptual"

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        discriminator: nn.Module | None,
        perceptual: nn.Module,
        arguments: VQGANArguments,
        num_steps: int,
    ):
        if accelerator.mixed_precision == "fp16":
            raise ValueError(
                "mixed_precision fp16 cannot carry a VQGAN's gradients, which pass VGG16 and the discriminator without "
                "its loss scale: use bf16 or no."
            )
        if model.config.sample_size < perceptual.min_size:
            raise ValueError(
                f"The perceptual loss sees images of {perceptual.min_size} pixels or more: found sample_size "
                f"{model.config.sample_size}."
            )
        if arguments.train_only_decoder:
            model.encoder.requires_grad_(False)
            model.quantizer.requires_grad_(False)
        super().__init__(accelerator, model, arguments, num_steps)
        if discriminator is not None:
            discriminator.logits_size(model.config.sample_size)  # refuses images that are too small for its depth
            if arguments.disc_start >= num_steps:
                accelerator.print(
                    f"WARNING: disc_start {arguments.disc_start} lies behind the last of the {num_steps} steps: this "
                    f"training has no adversarial loss."
                )
        if arguments.init_from is not None:  # its codebook is where its latents are
            self.keeper.init_vectors = 0
        if arguments.train_only_decoder:
            self.keeper.revive_every = 0
        self.perceptual = perceptual.to(accelerator.device)
        self.weights["perceptual"] = arguments.perceptual_weight
        self.critic, self.lecam, self.watch = None, LeCAM(), DiscriminatorWatch()
        self.first_critic_step = max(1, arguments.disc_start - arguments.disc_warmup_steps + 1)
        if discriminator is not None:
            steps = max(1, num_steps - self.first_critic_step + 1)
            self.critic = Player(
                accelerator,
                discriminator,
                arguments,
                steps,
                arguments.lr_disc,
                arguments.adam_beta1_disc,
                average=False,
            )
            self.players["discriminator"] = self.critic
            accelerator.register_for_checkpointing(self.lecam)

    def companions(self) -> dict[str, nn.Module]:
        """The discriminator, once it has learned."""
        learned = self.critic is not None and self.critic.scheduler.last_epoch > 0
        return {"discriminator": self.critic.unwrapped} if learned else {}

    def alarms(self) -> list[str]:
        return self.watch.alarms(lambda sums: self.accelerator.reduce(sums, "mean"))

    def begin_step(self, batches: list[dict[str, torch.Tensor]], step: int) -> None:
        super().begin_step(batches, step)
        self.critic_learns = self.critic is not None and step >= self.first_critic_step
        self.pull = self._pull(step)
        self.logits: list[torch.Tensor] = []
        self.adaptive = None
        if self.pull > 0 and len(batches) > 1:
            # The weight of a whole step has to be known before its first micro-batch goes back.
            parts = [self._gradients_at_last_layer(batch) for batch in batches]
            self.adaptive = self._adaptive_weight(*(torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True)))

    def step(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        target = batch["pixel_values"]
        output = self.player.network(target, quantize=self.quantize)
        losses, gradient = self._likeness(output.sample, batch)
        total = self._weighted(losses | output.losses)
        figures = {}
        if self.pull > 0:
            losses["adversarial"], adversarial = self._deception(output.sample)
            weight, raw = self.adaptive or self._adaptive_weight(
                self._at_last_layer(output.sample, gradient), self._at_last_layer(output.sample, adversarial)
            )
            pull = self.pull * weight
            gradient = gradient + pull * adversarial
            total = total + pull * losses["adversarial"]
            figures |= {"adaptive_weight": weight, "adaptive_weight_raw": raw, "adversarial_pull": pull}
        # Its gradient at the sample is `gradient`; the quantizer's losses do not pass through the sample.
        norm = self.player.update((output.sample * gradient).sum() + self._weighted(output.losses))
        figures |= self._norm("model", norm)
        if self.quantize:
            self.keeper.observe(output.latents, output.indices)
        if self.critic_learns:
            figures |= self._teach_critic(target, output.sample.detach())
        return {n: value.detach() for n, value in (losses | output.losses | {"total": total} | figures).items()}

    def end_step(self, step: int) -> None:
        super().end_step(step)
        if self.logits:
            means = self.accelerator.reduce(torch.stack(self.logits).mean(dim=0), "mean")
            self.lecam.update(*means)

    def _likeness(self, sample: torch.Tensor, batch: dict) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Reconstruction and perceptual loss, and the gradient of their weighted sum at the sample."""
        target, image = batch["pixel_values"], sample.detach().requires_grad_()
        reconstruction = masked_mse(image, target, batch["mask"], self.arguments.background_weight, self.total_weight)
        losses = {"reconstruction": reconstruction}
        if self.arguments.perceptual_weight > 0:
            with self.accelerator.autocast():
                with torch.no_grad():
                    features = self.perceptual.features(target)
                losses["perceptual"] = self.perceptual.distance(self.perceptual.features(image), features).mean()
        return losses, torch.autograd.grad(self._weighted(losses), image)[0]

    def _deception(self, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The adversarial loss, and its gradient at the sample.

        Asked for that gradient alone, autograd leaves the discriminator's parameters without any.
        """
        image = sample.detach().requires_grad_()
        with self.accelerator.autocast():
            loss = generator_loss(self.critic.unwrapped(image))
        return loss, torch.autograd.grad(loss, image)[0]

    def _teach_critic(self, real: torch.Tensor, fake: torch.Tensor) -> dict[str, torch.Tensor]:
        """A step of the discriminator; real and fake in one forward, so that a batch norm has one set of statistics."""
        real_logits, fake_logits = self.critic.network(torch.cat([real, fake])).chunk(2)
        hinge = hinge_discriminator_loss(real_logits, fake_logits)
        lecam = self.lecam.loss(real_logits, fake_logits)
        norm = self.critic.update(hinge + self.arguments.lecam_weight * lecam)
        self.logits.append(torch.stack([real_logits.detach().mean(), fake_logits.detach().mean()]))
        figures = {
            "discriminator": hinge,
            "logits_real": self.logits[-1][0],
            "logits_fake": self.logits[-1][1],
            "accuracy_real": (real_logits > 0).float().mean(),
            "accuracy_fake": (fake_logits < 0).float().mean(),
        }
        if self.pull > 0:
            self.watch.observe(figures)
        return figures | ({"lecam": lecam} if self.arguments.lecam_weight else {}) | self._norm("discriminator", norm)

    def _pull(self, step: int) -> float:
        """How much of the adversarial loss reaches the generator in step `step` (from 1): 0, then a ramp, then all."""
        if self.critic is None or step <= self.arguments.disc_start:
            return 0.0
        ramp = min(1.0, (step - self.arguments.disc_start) / max(1, self.arguments.disc_ramp_steps))
        return self.arguments.adversarial_weight * ramp

    def _gradients_at_last_layer(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        with self.accelerator.autocast():
            sample = self.player.unwrapped(batch["pixel_values"], quantize=self.quantize).sample
        gradients = self._likeness(sample, batch)[1], self._deception(sample)[1]
        return tuple(self._at_last_layer(sample, gradient) for gradient in gradients)

    def _at_last_layer(self, sample: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        weight = self.player.unwrapped.decoder.conv_out.weight
        return torch.autograd.grad(sample, weight, gradient, retain_graph=True)[0]

    def _adaptive_weight(self, gradient: torch.Tensor, adversarial: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the whole step: the gradients' means over processes, not the weights'."""
        gradient, adversarial = (self.accelerator.reduce(part, "mean") for part in (gradient, adversarial))
        return adaptive_weight(gradient, adversarial, self.arguments.disc_weight_max)
