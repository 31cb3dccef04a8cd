"""What the page of the demo computes, with a tiny model and forecaster: 16x16 frames, 8x8 codes out of 32."""

import io

import numpy as np
import pytest
import torch
from conftest import smoke
from PIL import Image

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.demo.explorer import PANELS, Explorer
from smoke_vq.demo.pictures import SIDE, code_grid, grid_cell, palette, palette_code


@pytest.fixture
def explorer(tiny_model, pipeline):
    return Explorer(tiny_model, SmokeImageProcessor(16), pipeline)


@pytest.fixture
def encoded(explorer):
    frames = smoke(8)[0]
    return explorer.encode(frames, frames, "Smoke.")


def test_a_video_is_cut_out_and_encoded(explorer, video):
    clip = explorer.read(video)
    assert clip.original.shape == clip.image.shape == (12, 16, 16, 3) and clip.codes.shape == (12, 8, 8)
    assert np.median(clip.image) == 0 and clip.image.max() > 100 and clip.original.min() > 0
    assert clip.note.startswith("Smoke was cut out.")
    assert "12 frames, each of 64 codes out of 32: 40 bytes." in explorer.describe(clip)
    assert explorer.read(video, fps=6).image.shape[0] == 6


def test_frames_on_black_and_photos_are_taken_as_they_are(explorer, video, tmp_path):
    np.save(tmp_path / "clip.npy", smoke(9)[0])
    clip = explorer.read(tmp_path / "clip.npy")
    assert np.array_equal(clip.image, smoke(9)[0]) and "smoke on black" in clip.note
    Image.new("RGB", (20, 20), (90, 120, 90)).save(tmp_path / "photo.png")
    assert "were not cut out" in explorer.read(tmp_path / "photo.png").note
    np.save(tmp_path / "black.npy", np.zeros((130, 16, 16, 3), np.uint8))
    assert explorer.read(tmp_path / "black.npy").note.endswith("No smoke was found. These are the first 120 frames.")


def test_a_simulated_plume(explorer):
    clip = explorer.simulate(3, 2)
    assert clip.image.shape == (2, 16, 16, 3) and clip.image.any()
    for seed in (-1, 2**32, 0.5):
        with pytest.raises(ValueError, match="seed expects a whole number from 0 to 4294967294, found"):
            explorer.simulate(seed, 2)


def test_a_changed_code_changes_one_frame_until_it_is_restored(explorer, encoded):
    code = (int(encoded.codes[2, 3, 4]) + 1) % 32
    changed = explorer.paint(encoded, 2, 3, 4, code)
    assert (changed.codes != encoded.codes).nonzero().tolist() == [[2, 3, 4]] and changed.codes[2, 3, 4] == code
    before, after = explorer.panels(encoded, 2), explorer.panels(changed, 2)
    same = [np.array_equal(*map(np.asarray, pair)) for pair in zip(before, after, strict=True)]
    assert dict(zip(PANELS, same, strict=True)) == {
        "original": True, "smoke on black": True, "codes": False, "from the codes": False, "error x4": False,
    }  # fmt: skip
    assert torch.equal(explorer.restore(changed, 2).codes, encoded.codes)


@pytest.mark.parametrize("code", [32, -1, 1.5, None])
def test_a_code_that_does_not_exist_is_refused(explorer, encoded, code):
    with pytest.raises(ValueError, match=f"A code is a whole number from 0 to 31, found {code}."):
        explorer.paint(encoded, 0, 0, 0, code)


def test_with_several_codes_at_a_cell_the_first_one_is_changed(tiny_kwargs, pipeline):
    model = SmokeVQVAE(**tiny_kwargs, quantizer_type="residual", quantizer_kwargs={"depth": 2})
    explorer = Explorer(model, SmokeImageProcessor(16), pipeline)
    clip = explorer.encode(smoke(2)[0], smoke(2)[0], "")
    assert clip.codes.shape == (2, 8, 8, 2) and explorer.code_bytes(clip) == 80
    changed = explorer.paint(clip, 1, 0, 7, (int(clip.codes[1, 0, 7, 0]) + 1) % 32)
    assert (changed.codes != clip.codes).nonzero().tolist() == [[1, 0, 7, 0]]
    assert len(explorer.panels(changed, 1)) == len(PANELS)


def test_a_model_of_grey_frames(tiny_kwargs, pipeline):
    model = SmokeVQVAE(**tiny_kwargs, in_channels=1, out_channels=1)
    explorer = Explorer(model, SmokeImageProcessor(16, num_channels=1), pipeline)
    clip = explorer.encode(smoke(6)[0], smoke(6)[0], "")
    assert len(explorer.panels(clip, 5)) == len(PANELS)
    assert {each.name for each in explorer.compare(clip, 5)} >= {"thumbnail 6x6", "WebP, quality 0"}
    assert explorer.forecast(clip, 4, 1), "one true frame is left"


def test_the_panels_show_the_frame_its_codes_and_what_is_decoded(explorer, encoded):
    original, black, codes, output, error = (np.asarray(panel) for panel in explorer.panels(encoded, 5))
    assert all(panel.shape == (SIDE, SIDE, 3) for panel in (original, black, codes, output, error))
    assert np.array_equal(black[::20, ::20], encoded.image[5])
    (decoded,) = explorer.decode(encoded.codes[5:6])
    assert np.array_equal(output[::20, ::20], decoded)
    assert np.array_equal(codes[2::40, 2::40], explorer.colours[encoded.codes[5].numpy()])


def test_the_brightest_code_and_the_palette_are_codes_of_the_clip(explorer, encoded):
    light = encoded.image[4].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3, 4))
    assert explorer.brightest_code(encoded, 4) == encoded.codes[4].flatten()[light.argmax()]
    for most in (64, 3):
        background, *smoky = explorer.palette_codes(encoded, most)
        assert background == encoded.codes.flatten().mode().values
        assert {*smoky} < {*encoded.codes.unique().tolist()} - {background} and len(smoky) == min(
            most - 1, len({*smoky})
        )
    lights = np.stack([frame.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3, 4)) for frame in encoded.image])
    dim, bright = (lights[(encoded.codes == code).numpy()].mean() for code in smoky)
    assert dim < bright


def test_codecs_are_compared_at_the_size_of_the_codes(explorer, encoded):
    compared = {each.name: each for each in explorer.compare(encoded, 1)}
    assert [*compared][:2] == ["codes", "thumbnail 3x3"] and {"WebP, quality 0", "JPEG, quality 1"} <= compared.keys()
    assert (compared["codes"].num_bytes, compared["thumbnail 3x3"].num_bytes) == (40, 27)
    (output,) = explorer.decode(encoded.codes[1:2])
    error = np.square(output / 255 - encoded.image[1] / 255).mean()
    assert compared["codes"].psnr == pytest.approx(-10 * np.log10(error), abs=1e-3)
    for each in compared.values():
        assert each.image.shape == (16, 16, 3) and each.num_payload_bytes <= each.num_bytes


def test_a_forecast_is_a_film(explorer, encoded):
    film = Image.open(io.BytesIO(explorer.forecast(encoded, 5, 2)))
    assert film.format == "WEBP" and film.n_frames == 4 + 2, "observed and predicted"
    assert Image.open(io.BytesIO(explorer.forecast(encoded, 7, 2))).size[0] < film.size[0], "no truth is left"
    with pytest.raises(ValueError, match="The forecaster needs 4 observed frames or more, found 3"):
        explorer.forecast(encoded, 2, 2)


def test_a_click_finds_the_cell_that_is_drawn():
    colours = np.random.default_rng(0).integers(0, 256, (40, 3), dtype=np.uint8)
    codes = np.arange(40)[:32].reshape(8, 4)
    picture = np.asarray(code_grid(codes, colours))
    for x, y in ((3, 3), (SIDE - 2, SIDE - 2), (SIDE - 2, 3), (83, 43)):
        assert np.array_equal(picture[y, x], colours[codes[grid_cell(codes.shape, x, y)]])
    listed = list(range(39, 19, -1))
    picture = np.asarray(palette(listed, colours))
    assert picture.shape == (80, 640, 3)
    for place, code in enumerate(listed):
        x, y = 40 * (place % 16) + 3, 40 * (place // 16) + 3
        assert palette_code(listed, x, y) == code and np.array_equal(picture[y, x], colours[code])
    assert palette_code(listed, 639, 79) is None
