"""Plume metrics against closed forms and NumPy."""

import math

import numpy as np
import pytest
import torch

from smoke_vq.metrics import Batch, PlumeQuality, flicker
from smoke_vq.metrics.plume import band_of_wavenumbers


def frames(count: int = 4, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Blobs of noise on black, each frame brighter than the last, (count, 3, size, size) in [-1, 1]."""
    noise = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    blob = (1 - 2 * (x.square() + y.square())).clamp(min=0)
    return 2 * blob * noise * torch.linspace(0.2, 1, count).view(-1, 1, 1, 1) - 1


def measure(sample: torch.Tensor, target: torch.Tensor, batch_size: int = 3) -> dict[str, float]:
    plume = PlumeQuality()
    for batch in zip(sample.split(batch_size), target.split(batch_size), strict=True):
        plume.update(Batch(*batch))
    figures = plume.compute()
    assert figures.pop("flicker") is None, "the sequences are unknown"
    return figures


def test_a_perfect_reconstruction():
    expected = {"mass_error": 0, "mask_iou": 1, "sharpness": 1}
    expected |= {f"spectrum_{band}": 0 for band in ("low", "middle", "high")}
    assert measure(frames(), frames()) == pytest.approx(expected)


def test_half_the_brightness_gives_half_the_mass_half_the_gradients_and_a_quarter_of_the_power():
    target = frames()
    found = measure((target + 1) / 2 - 1, target)
    assert found["mass_error"] == pytest.approx(0.5) and found["sharpness"] == pytest.approx(0.5)
    assert found["spectrum_low"] == pytest.approx(math.log10(4), abs=1e-3)


def test_mass_and_outline_equal_numpy():
    sample, target = frames(seed=1).roll(3, dims=3), frames()
    light, true_light = ((x.double().numpy() + 1).mean(axis=1) / 2 for x in (sample, target))
    difference = np.abs(light.sum(axis=(1, 2)) - true_light.sum(axis=(1, 2)))
    visible, smoke = light > 12 / 255, true_light > 12 / 255
    iou = (visible & smoke).sum(axis=(1, 2)) / (visible | smoke).sum(axis=(1, 2))
    found = measure(sample, target)
    assert found["mass_error"] == pytest.approx(difference.sum() / true_light.sum(), rel=1e-5)
    assert found["mask_iou"] == pytest.approx(iou.mean(), rel=1e-3)
    plume = PlumeQuality()
    plume.update(Batch(sample, target))
    plume.gather(lambda values: values)
    per_frame = plume.frames
    assert per_frame["mask_iou"].numpy() == pytest.approx(iou, rel=1e-2)
    assert per_frame["mass_error"].numpy() == pytest.approx(difference / true_light.sum(axis=(1, 2)), rel=1e-4)


def test_empty_frames_count_only_if_the_sample_shows_smoke():
    target = torch.cat([frames(), torch.full((1, 3, 32, 32), -1.0)])
    assert measure(target, target)["mask_iou"] == 1
    drawn = target.clone()
    drawn[-1] = target[-2]
    found = measure(drawn, target)
    assert found["mask_iou"] == pytest.approx(4 / 5)
    mass = (target + 1).sum(dim=(1, 2, 3))
    assert found["mass_error"] == pytest.approx(float(mass[-2] / mass.sum()), rel=1e-5)


def test_black_and_datasets_without_smoke_have_finite_figures():
    black = torch.full((4, 3, 32, 32), -1.0)
    found = measure(black, frames())
    assert found["mass_error"] == 1 and found["mask_iou"] == found["sharpness"] == 0
    assert all(map(math.isfinite, found.values())) and found["spectrum_low"] > 3
    assert measure(black, black) == {"spectrum_low": 0, "spectrum_middle": 0, "spectrum_high": 0}


def test_blur_lowers_sharpness_and_removes_fine_scales():
    target = frames()
    found = measure(torch.nn.functional.avg_pool2d(target + 1, 5, 1, 2) - 1, target)
    assert found["sharpness"] < 0.6
    assert found["spectrum_low"] < 0.1 < found["spectrum_middle"] < found["spectrum_high"]


def test_bands_are_thirds_of_the_octaves():
    assert band_of_wavenumbers(31).tolist() == [0] * 3 + [1] * 7 + [2] * 21
    assert band_of_wavenumbers(7).tolist() == [0, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_add_up(batch_size):
    sample, target = frames(seed=1), frames()
    assert measure(sample, target, batch_size) == pytest.approx(measure(sample, target, 3))


def moving(count: int = 6) -> torch.Tensor:
    return ((frames(count).permute(0, 2, 3, 1) + 1) * 127.5).round().byte()


def test_flicker_is_0_for_the_motion_of_the_targets_and_1_for_still_samples():
    target, sequence = moving(), torch.zeros(6, dtype=torch.int64)
    assert flicker(target, target, sequence) == 0
    assert flicker(target // 2 + 7, target // 2, sequence) == pytest.approx(0, abs=1e-6), (
        "a constant error does not flicker"
    )
    assert flicker(target[:1].expand_as(target), target, sequence) == pytest.approx(1)
    assert flicker(target // 4, target, sequence) == pytest.approx(0.75, abs=0.02)


def test_flicker_is_measured_on_gathered_frames():
    target, sequence = frames(6), torch.tensor([0, 0, 0, 1, 1, 1])
    sample = target.roll(1, dims=0)
    plume = PlumeQuality()
    for part in range(2):
        rows = slice(3 * part, 3 * part + 3)
        plume.update(Batch(sample[rows], target[rows], sequence=sequence[rows]))
    plume.gather(lambda values: values)
    assert plume.compute()["flicker"] == flicker(moving(6).roll(1, dims=0), moving(6), sequence)


def test_flicker_is_measured_within_sequences():
    target = moving()
    sample = target.clone()
    sample[3:] = sample[3:] // 2
    halves, apart = torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6)
    expected = float(np.mean([0]))  # the first half changes as the target does
    assert flicker(sample[:3], target[:3], halves[:3]) == expected
    both = flicker(sample, target, halves)
    assert 0.3 < both < 0.6 and both != flicker(sample, target, torch.zeros(6))
    assert flicker(sample, target, apart) is None
    assert flicker(target[:1].expand_as(target), target[:1].expand_as(target), halves) is None
