import numpy as np
import pytest
import torch
from PIL import Image

from smoke_vq.simulation import PlumeParameters, PlumeSettings, draw_parameters, film, simulate_plumes
from smoke_vq.simulation.parameters import RANGES

SMALL = PlumeSettings(size=16, num_frames=3)


def test_frames_have_their_shapes_and_show_smoke():
    [recording] = film([PlumeParameters(seed=5, warmup=3)], PlumeSettings(size=16, num_frames=12))
    assert recording.seed == 5
    assert recording.image.shape == (12, 16, 16, 3) and recording.image.dtype == np.uint8
    assert recording.alpha.shape == (12, 16, 16) and recording.alpha.dtype == np.uint8
    assert recording.alpha[-1].max() > 50
    assert (recording.image[recording.alpha == 0] == 0).all()
    assert recording.params == PlumeParameters(seed=5, warmup=3).to_dict()


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads():
    threads = torch.get_num_threads()
    recordings = []
    for count in (1, 2):
        torch.set_num_threads(count)
        recordings.append(simulate_plumes([5, 6], SMALL))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    [alone] = simulate_plumes([6], SMALL)
    for first, second in zip(*recordings, strict=True):
        assert np.array_equal(first.image, second.image) and np.array_equal(first.alpha, second.alpha)
    assert np.array_equal(alone.image, recordings[0][1].image)


def test_plumes_differ_and_are_within_their_ranges():
    drawn = [draw_parameters(seed) for seed in range(40)]
    for name, (low, high) in RANGES.items():
        values = [getattr(plume, name) for plume in drawn]
        assert len(set(values)) == 40, name
        # The first of two sources is moved to the left by up to 0.15.
        assert low - (0.15 if name == "x" else 0) <= min(values) and max(values) <= high, name
    for name in ("elongation", "second_distance", "pulse"):
        default = getattr(PlumeParameters(), name)
        assert 2 <= sum(getattr(plume, name) != default for plume in drawn) <= 20, name
    assert 8 < sum(plume.warmup < 8 for plume in drawn) < 32


def test_a_recording_after_warmup_starts_with_smoke():
    settings = PlumeSettings(size=16, num_frames=1)
    [onset], [warm] = (film([PlumeParameters(warmup=frames)], settings) for frames in (0, 10))
    assert (warm.alpha > 50).sum() > 2 * (onset.alpha > 50).sum()


def test_smoke_covers_the_background(tmp_path):
    Image.new("RGB", (40, 30), (0, 0, 255)).save(tmp_path / "sky.png")
    black, red, sky = (
        film([PlumeParameters(warmup=3)], PlumeSettings(size=16, num_frames=6, background=background))[0]
        for background in ("black", "#ff0000", str(tmp_path / "sky.png"))
    )
    clear = black.alpha == 0
    assert np.array_equal(black.alpha, red.alpha)
    assert (red.image[clear] == (255, 0, 0)).all()
    assert (sky.image[clear] == (0, 0, 255)).all()


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"size": 12}, "size is 12: expected a multiple of 8 from 8 to 512"),
        ({"size": 0}, "size is 0: expected"),
        ({"size": 1024}, "size is 1024: expected"),
        ({"num_frames": 0}, "num_frames is 0: expected at least 1"),
        ({"dimensions": 4}, "dimensions is 4: expected 2 or 3"),
        ({"background": "blackish"}, "background is 'blackish': expected a colour name"),
    ],
)
def test_invalid_settings_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        PlumeSettings(**changes)
