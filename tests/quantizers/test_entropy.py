"""Entropies of soft codes against torch.distributions and autograd of the definition, in float64."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent

from smoke_vq.quantizers.entropy import bit_losses, categorical_losses


def log_odds(num_bits: int, scale: float = 2.0, count: int = 500) -> torch.Tensor:
    return scale * torch.randn(count, num_bits, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def softmax_over_codes(odds: torch.Tensor) -> torch.Tensor:
    """Probabilities (N, 2^d) of all codes in {-1, 1}^d, as a softmax of dot products."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=odds.dtype)] * odds.shape[1])
    return (odds @ signs.view(-1, odds.shape[1]).t() / 2).softmax(dim=1)


def imbalance(probabilities: torch.Tensor) -> torch.Tensor:
    return math.log(probabilities.shape[1]) - Categorical(probs=probabilities.mean(dim=0)).entropy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_bits_equal_the_softmax_over_all_codes(scale, dtype):
    odds = log_odds(6, scale).requires_grad_()
    probabilities = softmax_over_codes(odds)
    expected = Categorical(probs=probabilities).entropy().mean(), imbalance(probabilities)
    own = odds.detach().to(dtype).requires_grad_()
    for ours, theirs in zip(bit_losses(own, group_bits=6), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-6)
        (gradient,), (exact,) = (
            torch.autograd.grad(value, [at], retain_graph=True) for value, at in ((ours, own), (theirs, odds))
        )
        torch.testing.assert_close(gradient.double(), exact, rtol=0, atol=1e-6 * float(exact.abs().max()) + 1e-9)


def test_the_entropy_of_samples_is_that_of_independent_bits():
    odds = log_odds(18)
    expected = Independent(Bernoulli(logits=odds), 1).entropy().mean()
    torch.testing.assert_close(bit_losses(odds, group_bits=3)[0], expected)


@pytest.mark.parametrize("group_bits", [1, 2, 3, 4, 5, 9])
def test_groups_give_the_sum_over_their_marginals(group_bits):
    """At most the exact imbalance (subadditivity), and equal to it for bits that are independent over the samples."""
    odds = log_odds(6)
    found, exact = bit_losses(odds, group_bits)[1], bit_losses(odds, 6)[1]
    sizes = {1: [1] * 6, 2: [2] * 3, 3: [3, 3], 4: [3, 3], 5: [3, 3], 9: [6]}[group_bits]
    marginals = [imbalance(softmax_over_codes(part)) for part in odds.split(sizes, dim=1)]
    torch.testing.assert_close(found, sum(marginals))
    assert found <= exact + 1e-12
    independent = torch.cartesian_prod(*odds[:3, :4].t())
    torch.testing.assert_close(bit_losses(independent, group_bits)[1], bit_losses(independent, 4)[1])


def test_uniform_and_certain_codes():
    certain = 1e4 * (2.0 * (torch.arange(8)[:, None] >> torch.arange(3) & 1) - 1)
    for odds, samples, unused in ((torch.zeros(5, 3), 3, 0), (certain, 0, 0), (certain[:2], 0, 2), (certain[:1], 0, 3)):
        found = bit_losses(odds, 3)
        assert [float(x) for x in found] == pytest.approx([samples * math.log(2), unused * math.log(2)], abs=1e-6)
    assert [float(x) for x in categorical_losses(1e4 * torch.eye(8))] == pytest.approx([0, 0], abs=1e-6)
    assert [float(x) for x in categorical_losses(1e4 * torch.eye(8)[:2])] == pytest.approx([0, math.log(4)], abs=1e-6)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
def test_gradients_stay_finite_where_probabilities_vanish(scale):
    odds = log_odds(4, scale).float().requires_grad_()
    sum(bit_losses(odds, 4)).backward()
    assert odds.grad.isfinite().all()
    logits = log_odds(7, scale).float().requires_grad_()
    sum(categorical_losses(logits)).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_equal_torch_distributions(dtype):
    logits = log_odds(40).requires_grad_()
    probabilities = logits.softmax(dim=1)
    expected = Categorical(logits=logits).entropy().mean() + 3 * imbalance(probabilities)
    own = logits.detach().to(dtype).requires_grad_()
    sample_entropy, loss = categorical_losses(own)
    loss = sample_entropy + 3 * loss
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(own.grad.double(), logits.grad, rtol=1e-5, atol=1e-6 * float(logits.grad.abs().max()))


def test_two_to_the_eighteen_codes_are_affordable():
    """One number for each latent and code would take 2 GB."""
    odds = log_odds(18, count=2048).float().requires_grad_()
    sample_entropy, found = bit_losses(odds, group_bits=9)
    (sample_entropy + found).backward()
    assert 0 < sample_entropy < 18 * math.log(2) and found > 0 and odds.grad.isfinite().all()
