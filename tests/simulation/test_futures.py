"""Futures of small plumes: what a member depends on, and how the members diverge."""

import numpy as np
import pytest
import torch

from smoke_vq.simulation import PlumeSettings, noise_seed, simulate_futures, simulate_plumes

SEED = 2_000_000_001
SMALL = PlumeSettings(size=16, num_frames=12)


@pytest.fixture(scope="module")
def futures():
    return simulate_futures(SEED, 5, 4, 7, SMALL)


def test_shapes_and_types(futures):
    assert (futures.seed, futures.start, futures.params["seed"]) == (SEED, 5, SEED)
    assert futures.past_image.shape == (5, 16, 16, 3) and futures.past_alpha.shape == (5, 16, 16)
    assert futures.image.shape == (4, 7, 16, 16, 3) and futures.alpha.shape == (4, 7, 16, 16)
    assert futures.image.dtype == futures.alpha.dtype == futures.past_image.dtype == np.uint8


@pytest.mark.parametrize("settings", [SMALL, PlumeSettings(size=16, num_frames=12, dimensions=2, background="navy")])
def test_member_0_has_the_bits_of_the_plume(settings):
    futures = simulate_futures(SEED, 5, 2, 7, settings)
    [plume] = simulate_plumes([SEED], settings)
    assert np.array_equal(np.concatenate([futures.past_image, futures.image[0]]), plume.image)
    assert np.array_equal(np.concatenate([futures.past_alpha, futures.alpha[0]]), plume.alpha)
    assert futures.params == plume.params and plume.alpha.max() > 50


def test_a_member_depends_on_seed_start_and_member_only(futures):
    """Not on the number of members, their length, or the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    fewer = simulate_futures(SEED, 5, 2, 3, SMALL)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert np.array_equal(fewer.image, futures.image[:2, :3]) and np.array_equal(fewer.alpha, futures.alpha[:2, :3])


def test_members_differ_and_diverge(futures):
    values = futures.image.astype(np.float32) / 127.5
    for member in range(1, 4):
        for other in range(member):
            difference = np.square(values[member] - values[other]).mean(axis=(1, 2, 3)) ** 0.5
            assert 0 < difference[0] < 0.03 and difference[-1] > 2 * difference[0]


def test_noise_seeds_are_distinct_and_documented():
    assert noise_seed(7, 16, 0) == 7
    seeds = {noise_seed(seed, start, member) for seed in range(4) for start in (4, 16) for member in range(1, 17)}
    assert len(seeds) == 4 * 2 * 16 and min(seeds) >= 0 and max(seeds) <= 2**32 - 2
    # printf '7 16 1' | sha256sum begins with 5ce062f69246ec62
    assert noise_seed(7, 16, 1) == 0x5CE062F69246EC62 % (2**32 - 1)


@pytest.mark.parametrize("name", ["start", "num_members", "num_frames"])
def test_numbers_below_1_are_refused(name):
    numbers = {"start": 2, "num_members": 2, "num_frames": 2, name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0: expected at least 1"):
        simulate_futures(SEED, settings=SMALL, **numbers)
