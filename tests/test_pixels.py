"""The pixel range: every uint8 value is restored, black is -1, and no other file contains the range."""

import re
from pathlib import Path

import torch

from smoke_vq import pixels

EVERY_VALUE = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)


def test_to_images_inverts_to_pixel_values():
    pixel_values = pixels.to_pixel_values(EVERY_VALUE)
    assert pixel_values.shape == (1, 3, 16, 16) and pixel_values.is_contiguous()
    assert (pixel_values.min(), pixel_values.max()) == (pixels.BLACK, pixels.WHITE)
    assert torch.equal(pixels.to_images(pixel_values), EVERY_VALUE)
    assert torch.equal(pixels.to_images(3 * pixel_values), pixels.to_images(pixels.clamp(3 * pixel_values)))


def test_the_unit_range():
    values = torch.tensor([pixels.BLACK, 0.0, pixels.WHITE])
    assert pixels.to_unit(values).tolist() == [0.0, 0.5, 1.0]
    assert torch.equal(pixels.from_unit(pixels.to_unit(values)), values)


def test_smoke_alpha_gives_the_mask_of_the_pixels():
    """The threshold is between 1 and 2 of 255, in any channel."""
    images = torch.zeros(1, 2, 3, 3, dtype=torch.uint8)
    images[0, 0, :, 0] = torch.tensor([0, 1, 2])
    images[0, 1, :, 2] = torch.tensor([0, 1, 2])
    alpha = pixels.smoke_alpha(images)
    assert alpha.tolist() == [[[0, 0, 255], [0, 0, 255]]]
    assert torch.equal(alpha[:, None] > 0, pixels.smoke_mask(pixels.to_pixel_values(images)))


def test_no_other_file_contains_the_range():
    here = Path(pixels.__file__)
    formulas = re.compile(r"127\.5|-0\.99|clamp\(-1|/ 2 \+ 0\.5|\* 2 - 1\b")
    found = [path.name for path in here.parent.rglob("*.py") if path != here and formulas.search(path.read_text())]
    assert found == []
