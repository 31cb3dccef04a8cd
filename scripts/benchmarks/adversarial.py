"""A training step of a SmokeVQGAN."""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from smoke_vq import PatchDiscriminator, SmokeVQGAN
from smoke_vq.losses import masked_mse
from smoke_vq.losses.adversarial import adaptive_weight, generator_loss, hinge_discriminator_loss
from smoke_vq.losses.perceptual import PerceptualLoss
from smoke_vq.training import TrainingArguments, VQGANArguments, VQGANObjective

from .sizes import autoencoder_sizes
from .timing import interleaved, report


def adversarial(device: str, rounds: int) -> None:
    """A VQGAN step: one generator forward with gradients split at the reconstruction, and the usual two forwards."""
    full = device == "cuda"
    sizes = autoencoder_sizes(device)
    batch = 32 if full else 8
    accelerator = Accelerator(mixed_precision="bf16")
    perceptual = PerceptualLoss()
    options = dict(dataset="none", disc_start=0, disc_ramp_steps=0, codebook_init_vectors=0, revival_steps=0)
    target = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1
    data = {"pixel_values": target, "mask": torch.ones(batch, 1, 64, 64, device=device)}

    def objective(**weights: float) -> VQGANObjective:
        discriminator = None if weights.get("adversarial_weight") == 0 else PatchDiscriminator()
        arguments = TrainingArguments.build(VQGANArguments, **options, **weights)
        return VQGANObjective(accelerator, SmokeVQGAN(**sizes), discriminator, perceptual, arguments, 1000)

    def step_of(trained: VQGANObjective) -> Callable[[], None]:
        def step():
            trained.begin_step([data], 2)
            trained.step(data)
            trained.end_step(2)

        return step

    other = objective()

    def two_forwards():
        """One generator forward for each of the two optimizers, as in taming-transformers with Lightning."""
        model, discriminator = (player.network for player in other.players.values())
        optimizers = [player.optimizer for player in other.players.values()]
        output = model(target)
        with accelerator.autocast():
            base = masked_mse(output.sample, target, data["mask"]) + perceptual(output.sample, target).mean()
            loss = generator_loss(discriminator(output.sample))
        last = model.decoder.conv_out.weight
        parts = [torch.autograd.grad(part, last, retain_graph=True)[0] for part in (base, loss)]
        weight, _ = adaptive_weight(*parts, 0.75)
        latent = 0.1 * output.losses["commitment"] + output.losses["codebook"]
        optimizers[0].zero_grad()
        accelerator.backward(base + 0.5 * weight * loss + latent)
        optimizers[0].step()
        fake = model(target).sample.detach()
        with accelerator.autocast():
            loss = hinge_discriminator_loss(discriminator(target), discriminator(fake))
        optimizers[1].zero_grad()
        accelerator.backward(loss)
        optimizers[1].step()

    functions = {
        "VQVAE": step_of(objective(adversarial_weight=0.0, perceptual_weight=0.0)),
        "with the perceptual loss": step_of(objective(adversarial_weight=0.0)),
        "VQGAN, smoke_vq": step_of(objective()),
        "VQGAN, two generator forwards": two_forwards,
    }
    seconds = interleaved(functions, device, rounds)
    title = f"Training step, {'full' if full else 'tiny'} model, batch {batch}"
    report(title, seconds, "VQGAN, smoke_vq", "images/s", batch)
