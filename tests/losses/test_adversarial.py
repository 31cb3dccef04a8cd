"""The adversarial losses against their formulas."""

import io
import math

import pytest
import torch

from smoke_vq.losses import LeCAM, adaptive_weight, generator_loss, hinge_discriminator_loss


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of real and of fake images, (4, 1, 6, 6), on both sides of the margins."""
    generator = torch.Generator().manual_seed(0)
    return tuple(2 * torch.randn(4, 1, 6, 6, generator=generator) + shift for shift in (0.5, -0.5))


def test_hinge_equals_its_formula_in_float64(logits):
    real, fake = (tensor.double().flatten().tolist() for tensor in logits)
    expected = 0.5 * (sum(max(0, 1 - x) for x in real) + sum(max(0, 1 + x) for x in fake)) / len(real)
    assert float(hinge_discriminator_loss(*logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "loss"), [(0.0, 0.0, 1.0), (1.0, -1.0, 0.0), (5.0, -5.0, 0.0), (-1.0, 1.0, 2.0)]
)
def test_hinge_at_known_points(real, fake, loss):
    assert hinge_discriminator_loss(torch.full((2, 1, 3, 3), real), torch.full((2, 1, 3, 3), fake)) == loss


def test_hinge_has_no_gradient_outside_the_margin():
    real = torch.tensor([2.0, 0.5], requires_grad=True)
    fake = torch.tensor([-2.0, -0.5], requires_grad=True)
    hinge_discriminator_loss(real, fake).backward()
    assert real.grad.tolist() == [0, -0.25]
    assert fake.grad.tolist() == [0, 0.25]


def test_generator_loss_is_the_negative_mean(logits):
    _, fake = logits
    assert generator_loss(fake) == -fake.mean()


@pytest.mark.parametrize("loss", [hinge_discriminator_loss, lambda real, fake: generator_loss(fake)])
def test_is_computed_in_float32_for_half_precision(logits, loss):
    halves = [tensor.bfloat16() for tensor in logits]
    assert loss(*halves).dtype == torch.float32
    assert torch.equal(loss(*halves), loss(*(half.float() for half in halves)))
    assert loss(*(tensor.double() for tensor in logits)).dtype == torch.float64


def test_adaptive_weight_is_the_ratio_of_norms():
    reconstruction = torch.tensor([[3.0, 0.0], [0.0, 4.0]], requires_grad=True)
    adversarial = torch.tensor([[0.0, 6.0], [8.0, 0.0]])
    weight, raw = adaptive_weight(reconstruction, adversarial, maximum=0.75)
    assert float(weight) == float(raw) == pytest.approx(5 / (10 + 1e-4))
    assert not weight.requires_grad and not raw.requires_grad


def test_adaptive_weight_is_clamped():
    weight, raw = adaptive_weight(torch.full((4,), 2.0), torch.full((4,), 0.5), maximum=0.75)
    assert weight == 0.75
    assert float(raw) == pytest.approx(4 / (1 + 1e-4))


def test_adaptive_weight_is_finite_without_an_adversarial_gradient():
    weight, raw = adaptive_weight(torch.ones(4), torch.zeros(4), maximum=0.75)
    assert weight == 0.75
    assert float(raw) == pytest.approx(2e4)


def test_adaptive_weight_balances_two_losses_at_a_layer():
    """With the weight, both gradients have the same norm."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 3, 3).double()
    output = layer(torch.randn(2, 4, 8, 8).double())
    gradients = [
        torch.autograd.grad(loss, layer.weight, retain_graph=True)[0]
        for loss in (output.square().mean(), -(output * torch.randn(2, 3, 6, 6).double()).mean())
    ]
    weight, _ = adaptive_weight(*gradients, maximum=1e4)
    assert float((weight * gradients[1]).norm()) == pytest.approx(float(gradients[0].norm()), rel=5e-3)


def test_lecam_equals_the_formula_of_the_paper_in_float64(logits):
    """Tseng et al. (2021), eq. 4-5."""
    lecam = LeCAM(decay=0.9)
    means = [(1.5, -0.5), (0.3, 0.2), (-2.0, 1.0)]
    alpha_real, alpha_fake = means[0]
    for real, fake in means[1:]:
        alpha_real, alpha_fake = 0.9 * alpha_real + 0.1 * real, 0.9 * alpha_fake + 0.1 * fake
    for pair in means:
        lecam.update(*(torch.tensor(mean, dtype=torch.float64) for mean in pair))
    real, fake = (tensor.double() for tensor in logits)
    expected = math.fsum((x - alpha_fake) ** 2 for x in real.flatten().tolist()) / real.numel()
    expected += math.fsum((x - alpha_real) ** 2 for x in fake.flatten().tolist()) / fake.numel()
    assert float(lecam.loss(real, fake)) == pytest.approx(expected, rel=1e-12)


def test_lecam_pulls_real_and_fake_logits_together():
    lecam = LeCAM()
    lecam.update(torch.tensor(2.0), torch.tensor(-2.0))
    real, fake = torch.tensor([2.0], requires_grad=True), torch.tensor([-2.0], requires_grad=True)
    lecam.loss(real, fake).backward()
    assert real.grad > 0 > fake.grad


def test_lecam_is_0_before_its_first_update(logits):
    lecam = LeCAM()
    assert lecam.loss(*logits) == 0
    lecam.update(torch.tensor(3.0), torch.tensor(-1.0))
    assert (float(lecam.ema_real), float(lecam.ema_fake)) == (3, -1)


def test_the_averages_of_lecam_have_no_gradient(logits):
    real, fake = (tensor.requires_grad_() for tensor in logits)
    lecam = LeCAM()
    for _ in range(2):
        lecam.update(real.mean(), fake.mean())
    assert not lecam.ema_real.requires_grad and not lecam.ema_fake.requires_grad


@pytest.mark.parametrize("num_updates", [0, 3])
def test_lecam_continues_from_a_checkpoint(tmp_path, logits, num_updates):
    """As in accelerate: torch.save, and torch.load with weights_only."""
    from accelerate import Accelerator

    saved, resumed = LeCAM(), LeCAM()
    for step in range(num_updates):
        saved.update(torch.tensor(0.1 * step), torch.tensor(-0.7 * step))
    Accelerator(cpu=True).register_for_checkpointing(saved)
    buffer = io.BytesIO()
    torch.save(saved.state_dict(), buffer)
    buffer.seek(0)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for lecam in (saved, resumed):
        lecam.update(torch.tensor(0.25), torch.tensor(-0.5))
    assert torch.equal(saved.loss(*logits), resumed.loss(*logits))
    assert torch.equal(saved.ema_real, resumed.ema_real)
