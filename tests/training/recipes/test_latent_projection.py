"""The losses of a projection at its start, and the alarm about one that became worse than its start."""

import pytest
import torch
from accelerate import Accelerator
from training_runs import MODEL, batch, reset_accelerate

from smoke_vq import LatentProjection, SmokeVQVAE
from smoke_vq.tokens import principal_components
from smoke_vq.training import LatentProjectionArguments, LatentProjectionObjective, TrainingArguments

FIGURES = {"latent_error": 0.02, "masked_mse": 0.01, "background_mse": 0.001, "coverage": 0.1, "diversity": 1.0}


@pytest.fixture
def build():
    """A function (C, options...) -> an objective, at the principal components of the latents of `batch(8)`."""

    def build(projected_channels: int, **options) -> LatentProjectionObjective:
        reset_accelerate()
        defaults = {"dataset": "blobs", "autoencoder": "blobs", "warmup_steps": 0, "lr": 0.0, "ema_decay": 0.0}
        arguments = TrainingArguments.build(LatentProjectionArguments, **defaults | options)
        accelerator = Accelerator(cpu=True)
        torch.manual_seed(0)
        autoencoder = SmokeVQVAE(**MODEL).double().eval()
        latents = autoencoder.encode(batch(8)["pixel_values"]).latents.detach()
        autoencoder.quantizer.codebook.data = latents.permute(0, 2, 3, 1).flatten(0, 2)[::16].float()
        components = principal_components([latents], accelerator)
        model = LatentProjection(8, projected_channels).double()
        model.set_principal_components(components)
        variance = float(components.variances.mean())
        return LatentProjectionObjective(accelerator, model, autoencoder, arguments, 10, variance, FIGURES)

    yield build
    reset_accelerate()


def losses(objective: LatentProjectionObjective) -> dict[str, torch.Tensor]:
    frames = batch(8)
    objective.begin_step([frames], 1)
    return objective.step(frames)


def test_principal_components_are_the_linear_minimum_of_the_latent_loss(build):
    """Its gradient is zero there, and its value is the share of the variance that they leave out."""
    objective = build(3, pixel_weight=0.0)
    found = losses(objective)
    assert float(found["gradient_norm_model"]) < 1e-6
    latents = objective.autoencoder.encode(batch(8)["pixel_values"]).latents
    left_out = 1 - principal_components([latents], objective.accelerator).explained[2]
    assert float(found["latent"]) == pytest.approx(float(left_out), rel=1e-6)


def test_all_channels_leave_frames_as_they_are(build):
    found = losses(build(8))
    assert float(found["latent"]) < 1e-10 and float(found["pixel"]) == 0


def test_the_pixel_loss_reaches_both_directions_and_not_the_autoencoder(build):
    objective = build(2, latent_weight=0.0)
    weights = [parameter.clone() for parameter in objective.autoencoder.parameters()]
    assert float(losses(objective)["gradient_norm_model"]) > 0
    assert all(torch.equal(a, b) for a, b in zip(weights, objective.autoencoder.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in objective.autoencoder.parameters())


def test_a_projection_that_became_worse_than_its_start_raises_an_alarm(build):
    objective = build(2)
    assert objective.alarms(FIGURES) == [] and objective.alarms(FIGURES | {"latent_error": 0.01}) == []
    (sentence,) = objective.alarms(FIGURES | {"latent_error": 0.03})
    assert sentence.startswith("Worse than the principal components: latent error 3.00e-02 (was 2.00e-02)")
