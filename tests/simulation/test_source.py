"""Sources whose noise continues that of another one."""

import math

import pytest
import torch

from smoke_vq.simulation import PlumeParameters
from smoke_vq.simulation.source import ContinuedSource, NoisySource

SHAPE, SCALE, WIDTH = (12, 20, 18), 0.25, 72
TIME = 10.0


def source(first_seed: int, count: int = 1) -> NoisySource:
    plumes = [PlumeParameters(seed=first_seed + i) for i in range(count)]
    return NoisySource(plumes, SHAPE, SCALE, WIDTH)


def test_the_noise_begins_without_a_jump_and_forgets_the_past():
    past, fresh = source(1), source(2)
    continued = ContinuedSource(past, fresh, TIME)
    torch.testing.assert_close(continued(TIME), past(TIME), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(continued(TIME + 40), fresh(TIME + 40), atol=1e-5, rtol=1e-5)


def test_the_expected_noise_is_the_mean_over_random_frequencies():
    """Compared with 20,000 draws of the drift and change of one mode, for the same wave vector and phase."""
    one = source(3)
    generator = torch.Generator().manual_seed(0)
    drift = 0.5 + 0.5 * torch.rand(20_000, 1, generator=generator)
    change = 0.2 * torch.randn(20_000, 1, generator=generator)
    elapsed = 5.0
    draws = one.frequency * TIME + elapsed * (change - one.wave_y * drift)  # (20000, 32)
    mean = torch.polar(torch.ones_like(draws), draws).mean(dim=0)
    expected = one.field(mean.angle()[None], mean.abs()[None])
    torch.testing.assert_close(one.expected_field(TIME, elapsed), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("elapsed", [2.0, 6.0])
def test_the_plume_is_as_far_from_a_member_as_two_members_from_each_other(elapsed):
    """The plume differed from a member by 1.5 times as much in the first frame, when the noise changed with a jump."""
    count = 400
    past, one, two = source(0, count), source(10_000, count), source(20_000, count)
    plume = past.field(past.frequency * (TIME + elapsed))
    first, second = (ContinuedSource(past, fresh, TIME).field(TIME + elapsed) for fresh in (one, two))
    variances = [field.square().mean().item() for field in (plume, first, second)]
    assert variances == pytest.approx([1, 1, 1], rel=0.1)
    from_plume, between = (math.sqrt((a - first).square().mean()) for a in (plume, second))
    assert from_plume == pytest.approx(between, rel=0.05) and from_plume < math.sqrt(2)
