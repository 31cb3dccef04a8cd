import numpy as np
from synthetic_clips import SIDE, background, clip

from smoke_vq.preparation.matting.background import estimate_background, match_light


def test_background_is_found_behind_moving_smoke(known):
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
