"""The pixel range: every uint8 value is restored, black is -1, and no other file contains the range."""

import re
from pathlib import Path

import pytest
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


def test_the_smoke_of_bytes_is_that_of_their_pixel_values():
    images = torch.cat([EVERY_VALUE, EVERY_VALUE.flip(2), EVERY_VALUE * torch.tensor([0, 1, 0], dtype=torch.uint8)])
    planes = pixels.to_planes(images)
    expected = pixels.smoke_mask(pixels.to_pixel_values(images))
    assert (
        torch.equal(pixels.smoke_of_planes(planes), expected.to(torch.uint8)) and 0 < expected.sum() < expected.numel()
    )


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 2, 5, 6, 3), (4, 5, 6, 1)])
def test_planes_are_mirrored_where_they_should_be(shape):
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mirror = torch.tensor([True, False, False, True])
    planes = pixels.to_planes(images, mirror)
    assert planes.is_contiguous() and torch.equal(pixels.to_planes(images), images.movedim(-1, -3))
    for i, mirrored in enumerate(mirror):
        image = images[i].flip(-2) if mirrored else images[i]
        assert torch.equal(planes[i], image.movedim(-1, -3))


def test_no_other_file_contains_the_range():
    here = Path(pixels.__file__)
    formulas = re.compile(r"127\.5|-0\.99|clamp\(-1|/ 2 \+ 0\.5|\* 2 - 1\b")
    found = [path.name for path in here.parent.rglob("*.py") if path != here and formulas.search(path.read_text())]
    assert found == []
