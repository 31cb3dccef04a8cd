"""The grid of pixels against waves of known amplitude."""

import math

import pytest
import torch
import torch.nn.functional as F

from smoke_vq.metrics import Batch, PixelGrid
from smoke_vq.metrics.pixel_grid import constant_frame_waves, grid_periods

COLOURS = [(0, 0, 0), (128, 128, 128), (230, 215, 180)]


def noise(count: int = 200, size: int = 64, seed: int = 0) -> torch.Tensor:
    return 0.01 * torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def wave(period: int, size: int = 64, axis: int = 3) -> torch.Tensor:
    """A cosine along an axis, (1, 1, H, W)."""
    shape = [1, 1, 1, 1]
    shape[axis] = size
    return torch.cos(2 * math.pi * torch.arange(size) / period).view(shape).expand(1, 1, size, size)


def measure(error: torch.Tensor) -> dict[str, float]:
    grid = PixelGrid()
    for part in error.split(64):
        grid.update(Batch(part, torch.zeros_like(part)))
    return grid.compute()


def test_noise_has_no_grid():
    assert measure(noise()) == pytest.approx({"grid_2": 1, "grid_4": 1, "grid_8": 1}, abs=0.1)


@pytest.mark.parametrize(("period", "waves"), [(2, 3), (4, 12), (8, 48)])
@pytest.mark.parametrize("axis", [2, 3])
def test_a_wave_is_found_at_its_period_alone(period, waves, axis):
    """`waves` frequencies, of which the wave has two, or one if its period is 2, add to the ratio of noise."""
    found = measure(noise() + 0.001 * wave(period, axis=axis))
    # Amplitude A with a window of mean 1/2 and mean square 3/8, in each direction, over noise of variance s^2.
    share = 0.001**2 / 0.01**2 * 64**2 * (1 / 4) ** 2 / (3 / 8) ** 2 / (1 if period == 2 else 4)
    expected = 1 + share * (1 if period == 2 else 2) / waves
    assert found[f"grid_{period}"] == pytest.approx(expected, rel=0.05) and expected > 1.1
    others = [value for name, value in found.items() if name != f"grid_{period}"]
    assert others == pytest.approx([1, 1], abs=0.1)


def test_noise_with_the_spectrum_of_smoke_has_no_grid():
    waves = torch.fft.fftfreq(64, 1 / 64)
    radius = torch.hypot(waves, waves[:, None]).clamp(min=1)
    smooth = torch.fft.ifft2(torch.fft.fft2(noise()) / radius**1.5).real
    assert all(0.7 < value < 1.2 for value in measure(smooth).values())


def test_transposed_convolutions_leave_a_grid_and_resizing_leaves_none():
    small = torch.randn(100, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kernel = torch.rand(3, 1, 3, 3, generator=torch.Generator().manual_seed(1)) + 0.2
    transposed = F.conv_transpose2d(small + 1, kernel, stride=2, padding=1, output_padding=1, groups=3)
    resized = F.interpolate(small + 1, scale_factor=2, mode="bilinear")
    assert measure(0.01 * transposed)["grid_2"] > 5 > 1.5 > measure(0.01 * resized)["grid_2"]


def test_frequencies_of_the_grid():
    periods = grid_periods(64, 64)
    assert periods[0, 0] == 0 and periods[32, 0] == periods[0, 32] == periods[32, 32] == 2
    assert periods[16, 0] == periods[16, 48] == periods[32, 16] == 4 and periods[8, 0] == periods[56, 32] == 8
    assert [int((periods == period).sum()) for period in (2, 4, 8)] == [3, 12, 48] and periods[8, 1] == 0


def test_frames_that_are_too_small_have_no_figures():
    assert measure(noise(4, 16)) == {} and measure(torch.zeros(2, 3, 64, 64)) == {}
    assert measure(noise(400, 32)) == pytest.approx({"grid_2": 1, "grid_4": 1, "grid_8": 1}, abs=0.1)


def test_frames_of_one_colour_have_no_waves():
    """Nor have slow changes towards the borders, and rounding to 8 bits leaves less than half a level."""
    y = torch.linspace(-0.2, 0.2, 64)[:, None]
    for change in (lambda x: x, lambda x: 0.9 * x + y**2, lambda x: (x * 127.3).round() / 127.3):
        assert max(constant_frame_waves(change, COLOURS).values()) < 0.01


@pytest.mark.parametrize("period", [2, 4, 8])
def test_the_amplitude_of_a_wave_is_found(period):
    levels = constant_frame_waves(lambda x: 0.5 * x + wave(period) * 3 / 127.5, COLOURS)
    assert levels.pop(period) == pytest.approx(3, rel=1e-4)
    assert max(levels.values()) < 1e-3
