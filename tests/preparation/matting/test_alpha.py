import numpy as np

from smoke_vq.preparation.matting.alpha import difference_matte, guided_filter


def test_difference_matte_inverts_compositing():
    generator = np.random.default_rng(0)
    scene = generator.uniform(0.1, 0.4, (20, 20, 3)).astype(np.float32)
    alpha = generator.uniform(0, 1, (20, 20)).astype(np.float32)
    bright = np.full(3, 0.9, np.float32)
    difference = alpha[..., None] * (bright - scene)
    assert np.allclose(difference_matte(difference, scene, bright, np.zeros(3)), alpha, atol=1e-5)


def test_guided_filter_keeps_a_step_and_removes_noise():
    step = np.repeat(np.float32([0, 1]), 30)[None].repeat(60, 0)
    noisy = step + np.random.default_rng(0).normal(0, 0.1, step.shape).astype(np.float32)
    filtered = guided_filter(step, noisy)
    assert np.abs(filtered - step).mean() < 0.3 * np.abs(noisy - step).mean()
    assert filtered[:, 29].max() < 0.3 and filtered[:, 30].min() > 0.7


def test_guided_filter_of_itself_without_epsilon_is_the_identity():
    image = np.random.default_rng(0).uniform(size=(40, 40)).astype(np.float32)
    assert np.allclose(guided_filter(image, image, epsilon=1e-9), image, atol=1e-2)
