import numpy as np
import pytest
import torch

from smoke_vq.metrics.power_spectrum import radial_power_spectrum, spectral_slope


@pytest.mark.parametrize("waves", [4, 9, 20])
def test_a_wave_is_found_at_its_frequency(waves):
    x = torch.arange(64.0)
    image = torch.sin(2 * torch.pi * waves * x / 64).expand(1, 3, 64, 64)
    assert radial_power_spectrum(image)[0].argmax().item() + 1 == waves


def test_equals_a_direct_sum_over_numpys_transform():
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    luminance = np.tensordot(image.double().numpy(), (0.2126, 0.7152, 0.0722), axes=(1, 0))
    window = np.hanning(17)[:16]
    power = np.abs(np.fft.fft2(luminance * window * window[:, None])) ** 2 / 256
    waves = np.fft.fftfreq(16, 1 / 16)
    ring = np.hypot(waves, waves[:, None]).round()
    expected = np.stack([power[:, ring == k].mean(axis=1) for k in range(1, 8)], axis=1)
    np.testing.assert_allclose(radial_power_spectrum(image).numpy(), expected, rtol=1e-4)


def test_the_slope_of_a_power_law_is_its_exponent():
    assert spectral_slope(torch.arange(1, 32).double() ** -3.2) == pytest.approx(-3.2)


def test_frames_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="Expected square frames"):
        radial_power_spectrum(torch.zeros(1, 3, 16, 12))
