"""Colour errors against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from smoke_vq.metrics import Batch, ColourError
from smoke_vq.metrics.colour import to_lab


def colours(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def measure(sample: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None) -> dict[str, float]:
    error = ColourError()
    error.update(Batch(2 * sample - 1, 2 * target - 1, mask))
    return error.compute()


def even(red: float, green: float, blue: float) -> torch.Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(2, 3, 8, 8)


def test_cielab_is_that_of_scikit_image():
    images = colours(2, 3, 16, 16)
    images[0, :, :4] *= 0.02  # dark, where both curves are linear
    expected = rgb2lab(images.double().permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(to_lab(images).permute(0, 2, 3, 1), expected, atol=2e-3)


def test_the_errors_are_those_of_scikit_images_colours():
    sample, target, mask = colours(3, 3, 8, 8), colours(3, 3, 8, 8, seed=1), colours(3, 1, 8, 8, seed=2)
    lab, true_lab = (rgb2lab(x.permute(0, 2, 3, 1).double().numpy()) for x in (sample, target))
    chroma, true_chroma = (np.hypot(x[..., 1], x[..., 2]) for x in (lab, true_lab))
    turn = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]) - np.arctan2(true_lab[..., 2], true_lab[..., 1]))
    turn = np.abs((turn + 180) % 360 - 180)
    weight = mask[:, 0].numpy()
    assert measure(sample, target, mask) == {
        "saturation_error": pytest.approx(np.average(np.abs(chroma - true_chroma), weights=weight), rel=1e-4),
        "hue_error": pytest.approx(np.average(turn, weights=weight * np.sqrt(chroma * true_chroma)), rel=1e-4),
    }


def test_cream_that_turns_blue_is_an_error_of_hue():
    cream, blue, mask = even(0.9, 0.85, 0.7), even(0.7, 0.78, 0.9), torch.ones(2, 1, 8, 8)
    assert measure(blue, cream, mask)["hue_error"] > 120
    assert measure(cream, cream, mask) == pytest.approx({"saturation_error": 0, "hue_error": 0}, abs=1e-4)


def test_a_change_of_brightness_is_hardly_an_error():
    mask = torch.ones(2, 1, 8, 8)
    assert measure(even(0.45, 0.425, 0.35), even(0.9, 0.85, 0.7), mask)["hue_error"] < 2


def test_losing_all_colour_is_an_error_of_saturation():
    cream, grey, mask = even(0.9, 0.85, 0.7), even(0.85, 0.85, 0.85), torch.ones(2, 1, 8, 8)
    found = measure(grey, cream, mask)
    lab = rgb2lab(cream[:, :, :1, :1].permute(0, 2, 3, 1).double().numpy())[0, 0, 0]
    assert found["saturation_error"] == pytest.approx(np.hypot(lab[1], lab[2]), abs=0.05)


def test_the_background_does_not_count():
    cream, blue, mask = even(0.9, 0.85, 0.7), even(0.7, 0.78, 0.9).clone(), torch.zeros(2, 1, 8, 8)
    mask[:, :, :4] = 1
    blue[:, :, :4] = cream[:, :, :4]
    assert measure(blue, cream, mask) == pytest.approx({"saturation_error": 0, "hue_error": 0}, abs=1e-4)


def test_undefined_figures_are_left_out():
    assert measure(colours(1, 3, 8, 8), colours(1, 3, 8, 8), None) == {}
    assert measure(colours(1, 3, 8, 8), colours(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)) == {}
