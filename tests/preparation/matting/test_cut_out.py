import numpy as np
import pytest
from synthetic_clips import clip, shrink

from smoke_vq.preparation.matting.cut_out import cut_out


@pytest.mark.parametrize("matting", ["guided", "closed-form"])
def test_known_alpha_is_recovered(known, cut, matting):
    frames, alpha = known
    times = slice(None) if matting == "guided" else slice(0, 8)
    result = cut if matting == "guided" else cut_out(frames[times], gain=1.0, matting=matting)
    error = np.abs(result.alpha / 255 - shrink(alpha)[times])
    assert error.mean() < 0.02
    assert error[shrink(alpha)[times] > 0.5].mean() < 0.12


def test_colour_is_premultiplied(known, cut):
    truth = shrink(known[1])[..., None] * np.float32((0.9, 0.9, 0.92))
    assert np.abs(cut.image / 255 - truth).mean() < 0.02


def test_background_is_exactly_black(known, cut):
    outside = shrink(known[1]) == 0
    assert (cut.alpha[outside] > 0).mean() < 0.02
    assert (cut.image[cut.alpha == 0] == 0).all() and (cut.image.max(-1)[cut.alpha > 0] > 0).all()


def test_a_still_scene_has_no_smoke():
    assert cut_out(clip(strength=0.0)[0]).coverage.max() == 0


def test_flicker_is_not_smoke():
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
