"""Codecs and thumbnails at several sizes."""

import io

import pytest
import torch
from PIL import Image

from smoke_vq.evaluation.baselines import bicubic
from smoke_vq.evaluation.codecs import avif, rate_distortion_curves, thumbnail
from smoke_vq.pixels import to_images

CURVES = rate_distortion_curves()


@pytest.fixture(scope="module")
def target():
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.avg_pool2d(noise, 9, 1, 4)


@pytest.mark.parametrize("name", CURVES)
def test_more_bytes_give_less_error(target, name):
    results = [function(target) for function in CURVES[name].values()]
    sizes = [float(result.num_bytes.mean()) for result in results]
    errors = [float((result.sample - target).square().mean()) for result in results]
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 2
    assert all(result.sample.shape == target.shape and result.sample.abs().max() <= 1 for result in results)


def test_webp_jpeg_and_thumbnails_are_always_there():
    assert {"thumbnail", "WebP", "JPEG"} <= set(CURVES)


def test_a_thumbnail_of_8_pixels_is_the_bicubic_baseline(target):
    assert torch.equal(thumbnail(target, 8).sample, bicubic(target).sample)
    assert thumbnail(target, 4).num_bytes.tolist() == [48, 48]


@pytest.mark.skipif("AVIF" not in CURVES, reason="this Pillow cannot write AVIF")
def test_the_payload_of_avif_is_its_last_box(target):
    """libavif writes the media data last."""
    result = avif(target, quality=20)
    for index, frame in enumerate(to_images(target).numpy()):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "AVIF", quality=20, subsampling="4:2:0")
        data = file.getvalue()
        assert result.num_bytes[index] == len(data)
        assert result.num_payload_bytes[index] == len(data) - data.index(b"mdat") - 4
