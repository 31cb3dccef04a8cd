"""Filters of images against NumPy and OpenCV."""

import cv2
import numpy as np
import pytest

from smoke_vq.preparation.matting.image_filters import box, brightest, grey, length

IMAGES = np.random.default_rng(0).normal(size=(4, 11, 13, 3)).astype(np.float32)


@pytest.mark.parametrize("image", [IMAGES, IMAGES[:, ::2, 3:], IMAGES[0, 0, 0], IMAGES.astype(np.float64)])
def test_reductions_over_channels_have_the_bits_of_numpy(image):
    assert np.array_equal(grey(image), image.mean(-1)) and grey(image).dtype == image.dtype
    assert np.array_equal(brightest(image), image.max(-1))
    assert np.array_equal(length(image), np.linalg.norm(image, axis=-1))


@pytest.mark.parametrize("radius", [1, 3])
def test_the_box_is_that_of_each_frame(radius):
    size = (2 * radius + 1,) * 2
    expected = [cv2.blur(frame, size, borderType=cv2.BORDER_REFLECT_101) for frame in IMAGES]
    assert np.array_equal(box(IMAGES, radius), expected) and np.array_equal(box(IMAGES[0], radius), expected[0])
    assert np.array_equal(box(np.asfortranarray(IMAGES), radius), expected)
