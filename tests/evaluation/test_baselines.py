"""The baselines against independent implementations."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from smoke_vq.evaluation.baselines import BASELINES, bicubic, black


@pytest.fixture
def target():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_keeps_shape_and_range(name, target):
    result = BASELINES[name](target)
    assert result.sample.shape == target.shape
    assert result.sample.min() >= -1 and result.sample.max() <= 1
    assert result.num_bytes.shape == (2,)


def test_black_is_black(target):
    assert (black(target).sample == -1).all()


def cubic(t: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The kernel of Keys (1981) with the constant of torch and OpenCV."""
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    return np.where(t <= 1, near, np.where(t < 2, a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a, 0))


def test_bicubic_equals_keys_convolution_of_block_means(target):
    small = target.double().numpy().reshape(2, 3, 8, 8, 8, 8).mean(axis=(3, 5))
    source = (np.arange(64) + 0.5) / 8 - 0.5
    matrix = np.zeros((64, 8))
    for tap in range(-2, 3):
        index = np.floor(source).astype(int) + tap
        np.add.at(matrix, (np.arange(64), index.clip(0, 7)), cubic(source - index))
    expected = np.einsum("ih,nchw,jw->ncij", matrix, small, matrix).clip(-1, 1)
    np.testing.assert_allclose(bicubic(target).sample.numpy(), expected, atol=1e-5)


def test_bicubic_is_close_to_that_of_pillow():
    """Pillow's cubic has another constant (-0.5) and other edges: close, not equal."""
    y, x = np.mgrid[:64, :64] / 64
    frame = (255 * np.exp(-12 * ((y - 0.5) ** 2 + (x - 0.4) ** 2))).astype(np.uint8)
    frame = np.repeat(frame[..., None], 3, axis=2)
    pillow = Image.fromarray(frame).resize((8, 8), Image.BOX).resize((64, 64), Image.BICUBIC)
    target = torch.from_numpy(frame).permute(2, 0, 1)[None] / 127.5 - 1
    ours = (bicubic(target).sample[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(ours - np.asarray(pillow)).mean() < 2


def test_bicubic_keeps_a_constant_frame():
    grey = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(bicubic(grey).sample, grey)
    assert bicubic(grey).num_bytes.tolist() == [192]


@pytest.mark.parametrize(("name", "options"), [("WebP", {"quality": 0}), ("JPEG", {"quality": 1})])
def test_codecs_equal_pillow(target, name, options):
    smooth = torch.nn.functional.avg_pool2d(target, 9, 1, 4)
    result = BASELINES[name](smooth)
    for index in range(2):
        file = io.BytesIO()
        frame = ((smooth[index] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(frame).save(file, name, **options)
        # Our settings are slower and smaller, with at most a little more error.
        read = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 127.5 - 1
        assert result.num_bytes[index] <= len(file.getvalue())
        assert (result.sample[index] - smooth[index]).square().mean() < 1.2 * (read - smooth[index]).square().mean()
    assert (result.num_payload_bytes > 0).all() and (result.num_payload_bytes < result.num_bytes).all()


def test_a_frame_with_more_detail_takes_more_bytes(target):
    frames = torch.stack([torch.full((3, 64, 64), -1.0), target[0]])
    for name in ("WebP", "JPEG"):
        result = BASELINES[name](frames)
        assert result.num_bytes[0] < result.num_bytes[1] and result.num_payload_bytes[0] < result.num_payload_bytes[1]
