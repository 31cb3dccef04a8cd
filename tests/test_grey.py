"""Grey and infrared frames: a model of one channel from training to reconstruction, or grey frames for an RGB model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import FLAGS, run, smoke

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.evaluation.codecs import jpeg, thumbnail
from smoke_vq.pixels import to_images, to_pixel_values, to_rgb

GREY = np.random.default_rng(0).integers(0, 256, (5, 16, 16), dtype=np.uint8)


def test_grey_pixel_values_and_images_are_inverse():
    images = torch.from_numpy(GREY)[..., None].expand(-1, -1, -1, 3)
    values = to_pixel_values(images, grey=True)
    assert values.shape == (5, 1, 16, 16)
    torch.testing.assert_close(values, to_pixel_values(images)[:, :1])
    assert torch.equal(to_images(values), images) and to_rgb(values).shape == (5, 3, 16, 16)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_grey_frames_are_taken_in_every_form(num_channels, tmp_path):
    SmokeImageProcessor(size=16, num_channels=num_channels).save_pretrained(tmp_path)
    processor = SmokeImageProcessor.from_pretrained(tmp_path)
    forms = [list(GREY), [Image.fromarray(frame) for frame in GREY], np.repeat(GREY[..., None], 3, axis=3)]
    found = [processor(form).pixel_values for form in forms]
    assert found[0].shape == (5, num_channels, 16, 16) and all(torch.allclose(found[0], other) for other in found)
    assert np.array_equal(processor.postprocess(found[0], "np")[..., 1], GREY)


def test_a_model_of_one_channel_is_trained_evaluated_and_loaded(tmp_path):
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        colour = smoke(40, seed=len(split))
        PackedFrames(colour.images, colour.alphas, split).save(tmp_path / "data" / f"{split}.safetensors")
    flags = f"--dataset {tmp_path / 'data'} --output-dir {tmp_path} --run-name run {FLAGS}"
    ended = run("train_vqvae.py", f"{flags} --model.in_channels 1 --model.out_channels 1")
    assert ended.code == 0, ended.err
    best = tmp_path / "run/best"
    figures = json.loads((best / "metrics.json").read_text())["this model"]
    assert 0 < figures["masked_mse"] < 2 and "hue_error" not in figures
    model, processor = SmokeVQVAE.from_pretrained(best), SmokeImageProcessor.from_pretrained(best)
    frame = smoke(1).images.numpy()
    values = processor(frame).pixel_values
    assert values.shape == (1, 1, 16, 16) and values[0, 0, 8, 8] == pytest.approx(frame[0, 8, 8].mean() / 127.5 - 1)
    output = processor.postprocess(model(values).sample, "np")
    assert output.shape == (1, 16, 16, 3) and (output[..., 0] == output[..., 2]).all()
    assert np.asarray(Image.open(best / "reconstructions.png")).size > 0


def test_codecs_return_grey():
    target = to_pixel_values(torch.from_numpy(GREY)[..., None])
    for sample in (jpeg(target, 90).sample, thumbnail(target, 8).sample):
        assert sample.shape == target.shape
    assert (jpeg(target, 95).sample - target).abs().mean() < 0.3
