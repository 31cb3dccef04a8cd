"""Pictures in, pictures out, saving and loading, and what is refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from smoke_vq import SmokeImageProcessor


@pytest.fixture
def processor():
    return SmokeImageProcessor(size=16)


def frame(seed: int = 0, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_all_256_values_return_exactly(processor):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.stack([values, values.T, 255 - values], axis=2)
    pixel_values = processor(image)["pixel_values"]
    assert pixel_values.shape == (1, 3, 16, 16) and pixel_values.dtype == torch.float32
    assert np.array_equal(processor.postprocess(pixel_values, "np")[0], image)
    assert np.array_equal(np.asarray(processor.postprocess(pixel_values)[0]), image)


def test_black_is_minus_one_and_white_is_one(processor):
    assert (processor(np.zeros((16, 16, 3), np.uint8))["pixel_values"] == -1).all()
    assert (processor(np.full((16, 16, 3), 255, np.uint8))["pixel_values"] == 1).all()


def test_every_form_of_frames_gives_the_same(processor):
    frames = np.stack([frame(0), frame(1)])
    expected = processor(frames)["pixel_values"]
    for images in (torch.from_numpy(frames), list(frames), [Image.fromarray(f) for f in frames]):
        assert torch.equal(processor(images)["pixel_values"], expected)
    for image in (frames[0], Image.fromarray(frames[0]), torch.from_numpy(frames[0])):
        assert torch.equal(processor(image)["pixel_values"], expected[:1])


def test_mask_is_the_alpha_where_there_is_one(processor):
    alpha = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    expected = torch.from_numpy(alpha).float()[None, None] / 255
    for form in (alpha, Image.fromarray(alpha), [alpha], alpha[None], torch.from_numpy(alpha)[None]):
        assert torch.equal(processor(frame(), alpha=form)["mask"], expected)


@pytest.mark.parametrize(("value", "smoke"), [((0, 0, 0), 0), ((1, 1, 1), 0), ((2, 0, 0), 1), ((0, 0, 2), 1)])
def test_mask_from_the_target_is_one_where_any_channel_is_above_the_threshold(processor, value, smoke):
    """-0.99 in [-1, 1] is between 1 and 2 of 255."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[3, 5] = value
    mask = processor(image)["mask"]
    assert mask.shape == (1, 1, 16, 16)
    assert mask.sum() == mask[0, 0, 3, 5] == smoke


def test_postprocess_clamps_and_rounds(processor):
    sample = torch.tensor([-7.0, -1 + 0.6 / 127.5, 0.0, 9.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert processor.postprocess(sample, "np")[0, ..., 0].tolist() == [[0, 1], [128, 255]]


def test_postprocess_takes_what_a_model_gives(processor):
    sample = torch.zeros(2, 3, 16, 16, dtype=torch.bfloat16, requires_grad=True)
    images = processor.postprocess(sample)
    assert [image.size for image in images] == [(16, 16)] * 2 and images[0].mode == "RGB"


def test_resizes_down_by_area(processor):
    large = frame(size=64)
    result = processor.postprocess(processor(large)["pixel_values"], "np")[0]
    expected = large.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(result - expected).max() <= 0.5 + 1e-4


def test_resizes_alpha_like_the_image(processor):
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:2, :2] = 255
    mask = processor(frame(size=32), alpha=alpha)["mask"]
    assert mask.sum() == mask[0, 0, 0, 0] == 1


def test_resizes_up_within_the_range(processor):
    small = np.zeros((8, 8, 3), np.uint8)
    small[4:] = 255
    pixel_values = processor(small)["pixel_values"]
    assert pixel_values.shape == (1, 3, 16, 16)
    assert (pixel_values[..., 0, :] == -1).all() and (pixel_values[..., -1, :] == 1).all()


def test_without_do_resize_other_sizes_are_refused():
    processor = SmokeImageProcessor(size=16, do_resize=False)
    assert processor(frame())["pixel_values"].shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="Expected frames of 16x16, found 24x24"):
        processor(frame(size=24))


def test_saves_beside_a_model_and_loads_back(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    SmokeImageProcessor(size=24, do_resize=False).save_pretrained(tmp_path)
    assert (tmp_path / "config.json").read_text() == config
    loaded = SmokeImageProcessor.from_pretrained(tmp_path)
    assert (loaded.size, loaded.height, loaded.do_resize) == ({"height": 24, "width": 24}, 24, False)
    assert SmokeImageProcessor.from_pretrained(tmp_path, size=8).height == 8
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert (stored["size"], stored["do_resize"]) == (loaded.size, False)
    assert str(tmp_path) not in json.dumps(stored)


def test_loads_a_saved_size_that_is_one_number(tmp_path):
    """As it was saved in older models."""
    stored = {"do_resize": True, "image_processor_type": "SmokeImageProcessor", "size": 24}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))
    assert SmokeImageProcessor.from_pretrained(tmp_path).to_dict() == SmokeImageProcessor(size=24).to_dict()


def test_auto_image_processor_loads_it(tmp_path, tiny_model):
    from transformers import AutoImageProcessor

    tiny_model.save_pretrained(tmp_path)
    SmokeImageProcessor(size=24, do_resize=False).save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is SmokeImageProcessor and (loaded.height, loaded.do_resize) == (24, False)


def test_auto_image_processor_loads_it_from_the_hub(hub, tmp_path):
    from transformers import AutoImageProcessor

    SmokeImageProcessor(size=24).save_pretrained(tmp_path)
    hub.put("user/smoke", {path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert AutoImageProcessor.from_pretrained("user/smoke").height == 24


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (Image.new("RGBA", (16, 16)), "Expected RGB images, found one of mode RGBA"),
        (np.zeros((16, 16, 4), np.uint8), r"found uint8 of shape \(16, 16, 4\)"),
        (np.zeros((3, 16, 16), np.uint8), r"found uint8 of shape \(3, 16, 16\)"),
        (np.zeros((16, 16, 3), np.float32), "found float32"),
    ],
    ids=["RGBA", "4 channels", "channels first", "floats"],
)
def test_refuses_other_images(processor, image, sentence):
    with pytest.raises(ValueError, match=sentence):
        processor(image)


def test_refuses_an_alpha_with_channels(processor):
    with pytest.raises(ValueError, match="Expected L images, found one of mode RGB"):
        processor(frame(), alpha=Image.new("RGB", (16, 16)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda processor: processor(frame(), return_tensors="np"), "return_tensors expects 'pt', found 'np'"),
        (lambda processor: processor(frame(), do_rescale=True), "Unknown keyword 'do_rescale'"),
        (lambda processor: processor.postprocess(torch.zeros(1, 3, 4, 4), "latent"), "'pil' or 'np', found 'latent'"),
        (lambda _: SmokeImageProcessor(size=0), "size expects a positive whole number, .*, found 0"),
        (lambda _: SmokeImageProcessor(size="64"), "size expects a positive whole number, .*, found '64'"),
        (lambda _: SmokeImageProcessor(size=True), "size expects a positive whole number, .*, found True"),
        (lambda _: SmokeImageProcessor(size={"height": 8, "width": 9}), "'height' and 'width' that are equal, found {"),
        (lambda _: SmokeImageProcessor(size={"shortest_edge": 64}), "found {'shortest_edge': 64}"),
    ],
)
def test_refuses_unknown_options(processor, call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(processor)
