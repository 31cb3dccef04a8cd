"""The two players of the VQGAN: their gradients are separate and independent of how a step is split."""

import pytest
import torch
from training_runs import MODEL, batch, reset_accelerate

from smoke_vq import PatchDiscriminator, SmokeVQGAN
from smoke_vq.losses import masked_mse
from smoke_vq.losses.adversarial import adaptive_weight, generator_loss, hinge_discriminator_loss
from smoke_vq.losses.perceptual import PerceptualLoss
from smoke_vq.training import TrainingArguments, VQGANArguments, VQGANObjective
from smoke_vq.training.recipes.discriminator_watch import DiscriminatorWatch

LATE = 30  # a step in which all losses are active


@pytest.fixture
def vqgan(vgg16_weights):
    """A function (arguments...) -> a VQGANObjective over tiny float64 networks, on one process."""
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    def build(num_steps: int = 100, norm: str = "group", **changes) -> VQGANObjective:
        reset_accelerate()
        defaults = {"disc_start": 10, "disc_warmup_steps": 5, "disc_ramp_steps": 10, "codebook_init_vectors": 0}
        defaults |= {"dataset": ["blobs"], "warmup_steps": 0, "lr_scheduler": "constant", "revival_steps": 0}
        arguments = TrainingArguments.build(VQGANArguments, **defaults | changes)
        steps = arguments.optimization.gradient_accumulation_steps
        plugin = GradientAccumulationPlugin(num_steps=steps, sync_with_dataloader=False)
        accelerator = Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
        torch.manual_seed(0)
        model = SmokeVQGAN(**MODEL).double()
        discriminator = PatchDiscriminator(num_layers=1, base_channels=8, norm=norm).double()
        if arguments.recipe.adversarial_weight == 0:
            discriminator = None
        objective = VQGANObjective(
            accelerator, model, discriminator, PerceptualLoss(vgg16_weights).double(), arguments, num_steps
        )
        objective.begin_training([batch(8)])
        return objective

    yield build
    reset_accelerate()


def take_step(objective: VQGANObjective, parts: list[dict], step: int = LATE) -> dict[str, float]:
    objective.begin_step(parts, step)
    for part in parts:
        with objective.accelerator.accumulate(*(player.network for player in objective.players.values())):
            figures = objective.step(part)
    objective.end_step(step)
    return {name: float(value) for name, value in figures.items()}


def gradients(player) -> list[torch.Tensor]:
    """The gradients of the first step, up to a factor, from the first moments of Adam."""
    moments = player.optimizer.optimizer.state
    return [moments[p]["exp_avg"].clone() for p in player.unwrapped.parameters() if p in moments]


def test_gradients_equal_those_of_a_naive_step(vqgan):
    """The naive step backpropagates through complete graphs, as in taming-transformers."""
    objective, data = vqgan(), batch(8)
    model, discriminator, perceptual = (
        objective.player.unwrapped,
        objective.discriminator.unwrapped,
        objective.perceptual,
    )
    found = {}
    objective.player.update = lambda loss: loss.backward()
    objective.discriminator.update = lambda loss: loss.backward()
    figures = take_step(objective, [data])
    for name, network in (("model", model), ("discriminator", discriminator)):
        found[name] = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
        network.zero_grad()

    output = model(data["pixel_values"])
    reconstruction = masked_mse(
        output.sample, data["pixel_values"], data["mask"], 0.2, objective.autoencoder.total_weight
    )
    base = reconstruction + perceptual(output.sample, data["pixel_values"]).mean()
    adversarial = generator_loss(discriminator(output.sample))
    last = model.decoder.conv_out.weight
    parts = [torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (base, adversarial)]
    weight, raw = adaptive_weight(*parts, 0.75)
    total = base + 0.5 * weight * adversarial + 0.1 * output.losses["commitment"] + output.losses["codebook"]
    total.backward()
    expected = {"model": [p.grad.clone() for p in model.parameters()]}
    discriminator.zero_grad()
    hinge_discriminator_loss(discriminator(data["pixel_values"]), discriminator(output.sample.detach())).backward()
    expected["discriminator"] = [p.grad for p in discriminator.parameters()]

    assert figures["adaptive_weight_raw"] == pytest.approx(raw.item(), rel=1e-12)
    assert figures["total"] == pytest.approx(total.item(), rel=1e-12)
    for name in expected:
        assert max(gradient.abs().max() for gradient in expected[name]) > 1e-4
        for one, other in zip(found[name], expected[name], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


def test_no_player_leaves_a_gradient_in_the_other(vqgan):
    objective, data = vqgan(), batch(8)
    seen = {}

    def update_of(name, other):
        def update(loss):
            loss.backward()
            seen[name] = [p.grad is None for p in objective.players[other].unwrapped.parameters()]
            objective.players[name].unwrapped.zero_grad()

        return update

    objective.player.update = update_of("model", "discriminator")
    objective.discriminator.update = update_of("discriminator", "model")
    take_step(objective, [data])
    assert all(seen["model"]) and all(seen["discriminator"])
    assert all(p.grad is None for p in objective.perceptual.parameters())


@pytest.mark.parametrize("lecam_weight", [0.0, 0.1])
def test_two_half_batches_equal_one_batch(vqgan, lecam_weight):
    """Masks of different area, logits of different means."""
    whole = batch(8)
    order = whole["mask"].sum(dim=(1, 2, 3)).argsort()
    halves = [{name: tensor[order][part] for name, tensor in whole.items()} for part in (slice(0, 4), slice(4, 8))]
    results = []
    for parts, accumulation in (([whole], 1), (halves, 2)):
        objective = vqgan(gradient_accumulation_steps=accumulation, lecam_weight=lecam_weight)
        take_step(objective, parts)
        first = {name: gradients(player) for name, player in objective.players.items()}
        take_step(objective, parts, LATE + 1)
        weights = {name: list(player.unwrapped.parameters()) for name, player in objective.players.items()}
        results.append((first, weights, objective.lecam.state_dict()))
    for name in ("model", "discriminator"):
        for one, other in zip(results[0][0][name], results[1][0][name], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)
        for one, other in zip(results[0][1][name], results[1][1][name], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert {k: float(v) for k, v in results[0][2].items()} == pytest.approx(
        {k: float(v) for k, v in results[1][2].items()}, rel=1e-5
    )


def test_the_discriminator_learns_alone_before_the_adversarial_loss_grows(vqgan):
    objective = vqgan(disc_start=10, disc_warmup_steps=5, disc_ramp_steps=4)
    named = {step: take_step(objective, [batch(8)], step) for step in (5, 6, 10, 11, 12, 14, 20)}
    assert "discriminator" not in named[5] and "adversarial" not in named[5]
    assert "discriminator" in named[6] and "adversarial" not in named[6]
    assert "adversarial" not in named[10]
    for step, share in ((11, 0.25), (12, 0.5), (14, 1.0), (20, 1.0)):
        assert named[step]["adversarial_pull"] == pytest.approx(0.5 * share * named[step]["adaptive_weight"])


def test_a_discriminator_that_has_not_learned_is_not_published(vqgan):
    objective = vqgan(disc_start=10, disc_warmup_steps=5)
    take_step(objective, [batch(8)], 5)
    assert objective.companions() == {}
    take_step(objective, [batch(8)], 6)
    assert list(objective.companions()) == ["discriminator"]


def test_without_adversarial_weight_there_is_one_player(vqgan):
    objective = vqgan(adversarial_weight=0.0)
    assert list(objective.players) == ["model"] and objective.companions() == {}
    assert set(take_step(objective, [batch(8)])) >= {"reconstruction", "perceptual", "total"}


def test_a_frozen_encoder_and_codebook_keep_every_code(vqgan):
    objective, data = vqgan(init_from="somewhere", train_only_decoder=True), batch(8)
    model = objective.player.unwrapped
    before = model.encode(data["pixel_values"]).indices, [p.clone() for p in model.decoder.parameters()]
    for step in range(LATE, LATE + 3):
        take_step(objective, [data], step)
    assert torch.equal(model.encode(data["pixel_values"]).indices, before[0])
    assert not all(map(torch.equal, model.decoder.parameters(), before[1]))


@pytest.mark.parametrize(
    "figures, words",
    [
        ((0.99, 0.99, 2.0, -2.0), "is too strong"),
        ((0.5, 0.5, 0.01, 0.0), "does not learn"),
        ((0.8, 0.7, 0.6, -0.5), None),
    ],
)
def test_a_discriminator_out_of_balance_is_reported(figures, words):
    watch = DiscriminatorWatch()
    assert watch.alarms() == []
    watch.observe(dict(zip(DiscriminatorWatch.names, map(torch.tensor, figures), strict=True)))
    sentences = watch.alarms()
    assert [words in sentence and "Try" in sentence for sentence in sentences] == ([] if words is None else [True])
    assert watch.alarms() == []
