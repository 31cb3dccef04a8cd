import numpy as np
import pytest

from smoke_vq.data.matting import (
    box,
    cut_out,
    difference_matte,
    estimate_background,
    guided_filter,
    match_light,
    unclean,
)

SIDE = 180


def background(seed=0):
    """A hill, a sky and a building with hard edges."""
    generator = np.random.default_rng(seed)
    texture = generator.normal(0, 0.03, (SIDE, SIDE)).astype(np.float32)
    scene = np.full((SIDE, SIDE, 3), (0.18, 0.22, 0.2), np.float32) + box(texture, 1)[..., None]
    scene[:40] = (0.6, 0.65, 0.7)
    scene[130:, 60:110] = (0.35, 0.3, 0.25)
    return scene


def plume(time, strength=0.9):
    """Two soft puffs that rise and drift, and are gone for a moment now and then: alpha (SIDE, SIDE)."""
    generator = np.random.default_rng(time)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    for phase in generator.uniform(size=2 if generator.uniform() < 0.8 else 0):
        row, column, radius = 125 - 70 * phase, 60 + 70 * phase + generator.normal(0, 5), 7 + 9 * phase
        alpha += (1 - 0.5 * phase) * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2))
    return strength * np.clip(alpha, 0, 1) * (alpha > 0.02)


def clip(frames=36, strength=0.9, colour=(0.9, 0.9, 0.92), noise=0.008, scene=None):
    """Composite, uint8 (T, H, W, 3), and the alpha that made it."""
    generator = np.random.default_rng(1)
    scene = background() if scene is None else scene
    alpha = np.stack([plume(time, strength) for time in range(frames)])
    composite = (1 - alpha[..., None]) * scene + alpha[..., None] * np.float32(colour)
    composite += generator.normal(0, noise, composite.shape)
    return np.rint(255 * np.clip(composite, 0, 1)).astype(np.uint8), alpha


def shrink(alpha, size=64):
    import cv2

    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in alpha])


@pytest.fixture(scope="module")
def known():
    return clip()


@pytest.fixture(scope="module")
def cut(known):
    return cut_out(known[0], gain=1.0)


def test_background_is_found_behind_smoke_that_comes_and_goes(known):
    estimate, _ = estimate_background(known[0].astype(np.float32) / 255)
    assert np.abs(estimate - background()).mean() < 0.01


def test_background_is_found_behind_dark_smoke_on_a_bright_sky():
    scene = np.full((SIDE, SIDE, 3), 0.75, np.float32)
    frames, _ = clip(colour=(0.35, 0.33, 0.3), strength=0.6, scene=scene)
    estimate, _ = estimate_background(frames.astype(np.float32) / 255)
    assert np.abs(estimate - scene).mean() < 0.015


def test_match_light_undoes_flicker():
    scene = background()
    flicker = np.linspace(0.8, 1.2, 12, dtype=np.float32)
    matched, ratios = match_light(scene * flicker[:, None, None, None], scene)
    assert np.allclose(ratios.mean(1), flicker, atol=1e-3) and np.allclose(matched, scene, atol=1e-3)


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


@pytest.mark.parametrize("matting", ["guided", "closed-form"])
def test_known_alpha_is_recovered(known, cut, matting):
    frames, alpha = known
    times = slice(None) if matting == "guided" else slice(0, 8)
    result = cut if matting == "guided" else cut_out(frames[times], gain=1.0, matting=matting)
    error = np.abs(result.alpha / 255 - shrink(alpha)[times])
    assert error.mean() < 0.02
    assert error[shrink(alpha)[times] > 0.5].mean() < 0.12


def test_premultiplied_colour_is_smokes(known, cut):
    truth = shrink(known[1])[..., None] * np.float32((0.9, 0.9, 0.92))
    assert np.abs(cut.image / 255 - truth).mean() < 0.02


def test_background_is_exactly_black(known, cut):
    outside = shrink(known[1]) == 0
    assert (cut.alpha[outside] > 0).mean() < 0.02
    assert (cut.image[cut.alpha == 0] == 0).all() and (cut.image.max(-1)[cut.alpha > 0] > 0).all()


def test_a_still_scene_has_no_smoke():
    assert cut_out(clip(strength=0.0)[0]).coverage.max() == 0


def test_flicker_of_the_light_is_no_smoke():
    frames = clip(strength=0.0)[0] * np.linspace(0.85, 1.0, 36)[:, None, None, None]
    assert cut_out(frames.astype(np.uint8)).coverage.mean() < 0.005


def test_gain_makes_thin_smoke_visible():
    frames, _ = clip(strength=0.15)
    thin, lifted = cut_out(frames, gain=1.0), cut_out(frames)
    assert lifted.image.max() > 2 * thin.image.max() and lifted.measures["gain"] > 2
    assert (lifted.image.max(-1).astype(int) <= lifted.alpha.astype(int) + 1).all()


@pytest.mark.parametrize("size", [32, 100])
def test_other_sizes_and_shapes(known, size):
    frames = known[0][:12, 10:, :]
    assert cut_out(frames, size=size).image.shape == (12, size, size, 3)


def test_a_shaken_camera_is_dropped(known, cut):
    assert unclean(cut.measures) is None
    frames = np.stack([np.roll(frame, (3 * (t % 3), 2 * (t % 4)), (0, 1)) for t, frame in enumerate(known[0])])
    dropped = unclean(cut_out(frames).measures)
    assert dropped["reason"] == "camera shake" and dropped["value"] > dropped["limit"]


def test_a_large_change_of_light_is_dropped(known):
    frames = (known[0] * np.linspace(0.4, 1.0, 36)[:, None, None, None]).astype(np.uint8)
    assert unclean(cut_out(frames).measures)["reason"] == "light change"
