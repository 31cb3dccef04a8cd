"""Forecasts of a pipeline: what goes in and comes out, reproducibility, and invalid input."""

import numpy as np
import pytest
import torch
from forecasters import forecast
from PIL import Image

from smoke_vq import LatentProjection, SmokeForecastPipeline, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.flow_matching import rollout
from smoke_vq.pixels import to_images, to_pixel_values

KINDS = {
    "uint8 array": lambda clip: clip,
    "uint8 tensor": torch.from_numpy,
    "list of arrays": list,
    "PIL images": lambda clip: [Image.fromarray(frame) for frame in clip],
    "pixel_values": lambda clip: to_pixel_values(torch.from_numpy(clip)),
    "pixel_values as an array": lambda clip: to_pixel_values(torch.from_numpy(clip)).numpy(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_gives_the_same_frames(pipeline, clip, kind):
    expected = forecast(pipeline, clip, num_samples=2)
    assert expected.shape == (2, 3, 16, 16, 3) and expected.dtype == np.uint8
    assert np.array_equal(forecast(pipeline, KINDS[kind](clip), num_samples=2), expected)


@pytest.mark.parametrize("kind", ["array", "list of clips", "lists of images", "pixel_values"])
def test_a_batch_of_clips_has_one_more_axis(pipeline, clip, kind):
    batch = np.stack([clip, clip[::-1]])
    given = {
        "array": batch,
        "list of clips": list(batch),
        "lists of images": [[Image.fromarray(frame) for frame in one] for one in batch],
        "pixel_values": to_pixel_values(torch.from_numpy(batch)),
    }[kind]
    output = forecast(pipeline, given, num_samples=2)
    assert output.shape == (2, 2, 3, 16, 16, 3)
    assert np.array_equal(output, forecast(pipeline, batch, num_samples=2))
    assert not np.array_equal(output[0], output[1])


def test_files_and_folders_are_read(pipeline, clip, tmp_path):
    np.savez(tmp_path / "clip.npz", frames=clip, other=0)
    np.savez(tmp_path / "alone.npz", whatever=clip)
    np.save(tmp_path / "clip.npy", clip)
    (tmp_path / "images").mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / "images" / f"{number:03d}.png")
    expected = forecast(pipeline, clip)
    for name in ("clip.npz", "alone.npz", "clip.npy", "images"):
        assert np.array_equal(forecast(pipeline, tmp_path / name), expected), name


def test_a_video_is_read(pipeline, clip, tmp_path):
    pytest.importorskip("av")
    from synthetic_clips import write_video

    from smoke_vq.data.clips import read_clip

    write_video(tmp_path / "clip.mp4", clip)
    decoded = read_clip(tmp_path / "clip.mp4")
    assert decoded.shape == clip.shape
    assert np.array_equal(forecast(pipeline, str(tmp_path / "clip.mp4")), forecast(pipeline, decoded))


def test_output_types_agree(pipeline, clip):
    arrays = forecast(pipeline, clip, num_samples=2)
    tensor = forecast(pipeline, clip, num_samples=2, output_type="pt")
    images = forecast(pipeline, clip, num_samples=2, output_type="pil")
    assert tensor.shape == (2, 3, 3, 16, 16) and float(tensor.abs().max()) <= 1
    assert np.array_equal(to_images(tensor).numpy(), arrays)
    assert len(images) == 2 and len(images[0]) == 3 and np.array_equal(np.asarray(images[1][2]), arrays[1, 2])


def test_a_seed_gives_the_same_frames_and_samples_differ(pipeline, clip):
    first, again, other = (forecast(pipeline, clip, seed, num_samples=2) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("with_projection", [True, False])
@pytest.mark.parametrize("quantize", [True, False])
def test_the_steps_are_those_of_the_parts(make_pipeline, clip, with_projection, quantize):
    """Written out by hand, with the projection and with all normalized channels."""
    pipeline = make_pipeline(with_projection)
    model, projection = pipeline.autoencoder, pipeline.projection
    with torch.no_grad():
        latents = model.encode(to_pixel_values(torch.from_numpy(clip[1:]))).latents
        past = projection.project(latents) if with_projection else (latents - 0.1) / 0.5
        generator = torch.Generator().manual_seed(0)
        latents = rollout(pipeline.transformer, past[None], 3, 2, "euler", generator)[0]
        latents = projection.unproject(latents) if with_projection else latents * 0.5 + 0.1
        if quantize:
            latents = model.quantizer(latents).quantized
        expected = model.decoder(latents)
    found = forecast(pipeline, clip, output_type="pt", quantize=quantize)[0]
    torch.testing.assert_close(found, expected.clamp(-1, 1), atol=1e-5, rtol=1e-5)


def test_only_the_last_observed_frames_count(pipeline, clip):
    assert np.array_equal(forecast(pipeline, clip), forecast(pipeline, clip[1:]))


def test_an_earlier_frame_is_drawn_from_all_observed_ones(make_pipeline, clip):
    pipeline = make_pipeline(use_earlier_frame=True)
    changed = clip.copy()
    changed[0] = 255 - changed[0]
    assert not np.array_equal(forecast(pipeline, clip), forecast(pipeline, changed))
    with pytest.raises(ValueError, match="needs 5 observed frames or more, found 4"):
        forecast(pipeline, clip[1:])


def test_a_regression_has_one_forecast(make_pipeline, clip):
    pipeline = make_pipeline(coupling="regression")
    assert np.array_equal(forecast(pipeline, clip, 0), forecast(pipeline, clip, 1, num_inference_steps=7))
    with pytest.raises(ValueError, match="A regression has one forecast: num_samples expects 1, found 2"):
        forecast(pipeline, clip, num_samples=2)


def test_frames_of_another_size_are_resized_on_request(pipeline, clip):
    larger = clip.repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(ValueError, match="Expected frames of 16x16, found 32x32: resize=True resizes them"):
        forecast(pipeline, larger)
    assert np.array_equal(forecast(pipeline, larger, resize=True), forecast(pipeline, clip))


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        (lambda clip: clip[:3], {}, "needs 4 observed frames or more, found 3"),
        (lambda clip: clip[:0], {}, r"observed frames, found none: an array of shape \(0, 16, 16, 3\)"),
        (lambda clip: [], {}, "Expected observed frames, found an empty list"),
        (lambda clip: clip[0], {}, r"Expected frames \(P, H, W, 3\) uint8 .* found uint8 of shape \(16, 16, 3\)"),
        (lambda clip: clip[..., :1], {}, r"found uint8 of shape \(5, 16, 16, 1\)"),
        (lambda clip: clip.astype(np.int64), {}, "found int64"),
        (lambda clip: clip.transpose(0, 3, 1, 2).astype(np.float32), {}, r"pixel_values in \[-1, 1\], found 0 to 255"),
        (lambda clip: to_pixel_values(torch.from_numpy(clip))[..., :8], {}, "16x16, found 8x16: only uint8 frames"),
        (lambda clip: [clip, clip[1:]], {}, r"clips with equal numbers of frames, found \[4, 5\]"),
        (lambda clip: [Image.new("L", (16, 16))] * 4, {}, "Expected RGB images, found one of mode L"),
        (lambda clip: {"frames": clip}, {}, "Expected an array, a list of images, or the path of a clip, found dict"),
        (lambda clip: clip, {"num_frames": 0}, "num_frames expects a whole number of 1 or more, found 0"),
        (lambda clip: clip, {"num_inference_steps": 0}, "num_inference_steps expects .* found 0"),
        (lambda clip: clip, {"num_samples": 0}, "num_samples expects .* found 0"),
        (lambda clip: clip, {"num_samples": 1.5}, "num_samples expects .* found 1.5"),
        (lambda clip: clip, {"output_type": "jpg"}, "Unknown output type 'jpg'"),
        (lambda clip: clip, {"sampler": "eular"}, "Unknown sampler 'eular'"),
        (lambda clip: clip, {"sampler": "heun"}, "'heun' needs 3 or more evaluations, found 2"),
    ],
)  # fmt: skip
def test_invalid_input_is_refused(pipeline, clip, change, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        forecast(pipeline, change(clip), **arguments)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.mp4", None, "The clip '.*missing.mp4' does not exist"),
        ("clip.txt", b"", r"ends in '.txt': expected a folder of images, or one of .mp4"),
        ("clip.npz", b"not a zip file", "Cannot read '.*clip.npz'"),
        ("clip.npy", b"not an array", "Cannot read '.*clip.npy'"),
        ("clip.mp4", b"not a video", "Cannot read 'clip.mp4': Invalid data found when processing input"),
    ],
)
def test_invalid_clips_are_refused(pipeline, tmp_path, name, content, sentence):
    if name.endswith("mp4"):
        pytest.importorskip("av")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=sentence):
        forecast(pipeline, tmp_path / name)


def parts(pipeline, **changes):
    return SmokeForecastPipeline(**pipeline.components | changes)


def test_parts_that_were_not_trained_with_each_other_are_refused(pipeline, make_pipeline, tiny_kwargs):
    projection = LatentProjection(8, 3, autoencoder_sha256=pipeline.transformer.config.autoencoder_sha256)
    for changes, sentence in (
        ({"autoencoder": SmokeVQVAE(**tiny_kwargs)}, "The projection belongs to another autoencoder"),
        ({"projection": projection}, "The transformer was trained with another projection: expected weights with SHA"),
        ({"processor": SmokeImageProcessor(32)}, "predicts frames of 16x16: the processor has 32"),
        ({"autoencoder": projection}, "autoencoder expects one of .* found a LatentProjection"),
        ({"projection": None}, "latents are normalized by latents_mean and latents_std"),
    ):
        with pytest.raises(ValueError, match=sentence):
            parts(pipeline, **changes)
    pipeline.transformer.register_to_config(autoencoder_sha256=None)
    with pytest.raises(ValueError, match="does not name its autoencoder: autoencoder_sha256 is null"):
        parts(pipeline)
    everything = make_pipeline(with_projection=False)
    other = SmokeVQVAE(**tiny_kwargs, latents_mean=[0.1] * 8, latents_std=[0.5] * 8)
    with pytest.raises(ValueError, match="The transformer was trained with another autoencoder: expected encoder and"):
        parts(everything, autoencoder=other)
    with pytest.raises(ValueError, match="does not name its projection: projection_sha256 is null"):
        parts(everything, projection=projection)
    everything.transformer.register_to_config(projection_sha256="0" * 64)
    with pytest.raises(ValueError, match="was trained with a projection of the latents: found none"):
        parts(everything)


def test_a_forecast_that_is_not_finite_is_refused(pipeline, clip):
    with torch.no_grad():
        pipeline.transformer.proj_out.bias[0] = float("nan")
    with pytest.raises(ValueError, match="The forecast is not finite"):
        forecast(pipeline, clip)
