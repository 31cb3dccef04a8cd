"""scripts/train_flow_matching.py on tiny latents."""

import json
from pathlib import Path

import pytest
import torch
from training_runs import (
    MODEL,
    ROOT,
    SIZE,
    Killed,
    assert_same_run,
    fork,
    history,
    kill_after,  # noqa: F401
    run,
    smoke,
)

from smoke_vq import LatentProjection, SmokeFlowTransformer, SmokeForecastPipeline, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.models.initialization import continue_forecaster
from smoke_vq.tokens import encode_dataset, latents_digest, model_digest

LENGTH = 12
FLAGS = (
    "--batch-size 8 --max-steps 6 --lr 1e-3 --warmup-steps 2 --logging-steps 1 --checkpointing-steps 2 --num-threads 1 "
    "--num-samples 2 --num-inference-steps 3 --forecast-frames 4 --model.in_channels 3 --model.num_previous 2 "
    "--model.num_frames 3 --model.num_layers 1 --model.num_attention_heads 2 --model.attention_head_dim 8"
)


def clips(num: int, seed: int = 0) -> PackedFrames:
    frames = smoke(num * LENGTH, seed)
    return PackedFrames(frames.images, frames.alphas, "blobs", torch.arange(num * LENGTH) // LENGTH)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    clips(4).save(folder / "train.safetensors")
    clips(2, seed=1).save(folder / "validation.safetensors")
    return folder


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoder")
    torch.manual_seed(0)
    model = SmokeVQVAE(**MODEL, latents_mean=[0.0] * 8, latents_std=[1.0] * 8)
    model.save_pretrained(folder)
    SmokeImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture
def train(data, autoencoder, tmp_path):
    def start(flags: str = "", dataset: Path = data):
        words = f"--autoencoder {autoencoder} --dataset {dataset} --validation-dataset {data} --output-dir {tmp_path}"
        return run("train_flow_matching.py", f"{words} {FLAGS} {flags}")

    return start


def test_a_resumed_run_equals_an_unbroken_one_and_gives_a_pipeline(train, tmp_path, kill_after, data):  # noqa: F811
    ended = train("--run-name unbroken")
    assert ended.code == 0, ended.err
    for words in ("psnr_mean", "crps", "The complete forecaster"):
        assert words in ended.out
    kill_after(5)
    with pytest.raises(Killed):
        train()
    kill_after(None)
    ended = train("--resume-from-checkpoint latest")
    assert ended.code == 0, ended.err
    assert_same_run(tmp_path / "run", tmp_path / "unbroken")
    figures = json.loads((tmp_path / "run/best/metrics.json").read_text())
    assert {"repeat the last frame", "optical flow"} < set(figures)
    assert {"crps", "spread_skill", "iou"} < set(figures["this model"])
    pipeline = SmokeForecastPipeline.from_pretrained(tmp_path / "run/forecaster")
    card = (tmp_path / "run/forecaster/README.md").read_text()
    assert 'SmokeForecastPipeline.from_pretrained("runs/run/forecaster")' in card and "- trained on" in card
    assert "psnr_mean" in card and "The quality of this model is unknown" not in card
    frames = PackedFrames.load(data / "validation.safetensors").images[:5].numpy()
    assert pipeline(frames, num_frames=4, num_inference_steps=2, num_samples=3).frames.shape == (3, 4, SIZE, SIZE, 3)
    assert pipeline.transformer.config.projection_sha256 == model_digest(pipeline.projection)


@pytest.mark.parametrize(
    "flags",
    [
        "--model.in_channels 8",  # all channels, without a projection
        "--model.coupling bridge --model.prediction_type velocity --sampler heun --velocity-exponent 1",
        "--model.coupling regression --model.prediction_type frame",
        "--model.num_previous 1 --model.num_frames 1 --model.use_earlier_frame true",  # as in RIVER
        "--regression-steps 3",
    ],
)
def test_the_variants_train(train, tmp_path, flags):
    ended = train(flags)
    assert ended.code == 0, ended.err
    model = SmokeFlowTransformer.from_pretrained(tmp_path / "run/best")
    assert model.proj_out.weight.abs().sum() > 0
    pipeline = SmokeForecastPipeline.from_pretrained(tmp_path / "run/forecaster")
    assert (pipeline.projection is None) is (pipeline.transformer.config.statistics_sha256 is not None)
    losses = [value for _, name, value in history(tmp_path / "run") if name == "train/total"]
    assert len(losses) == 6 and all(0 < loss < 1000 for loss in losses)


def test_two_processes_share_a_small_dataset(data, autoencoder, tmp_path):
    flags = f"--autoencoder {autoencoder} --dataset {data} --output-dir {tmp_path} {FLAGS} --batch-size 4"
    ended = fork([ROOT / "scripts/train_flow_matching.py", *flags.split()], processes=2)
    assert "The complete forecaster" in ended.out
    SmokeForecastPipeline.from_pretrained(tmp_path / "run/forecaster")
    figures = json.loads((tmp_path / "run/best/metrics.json").read_text())
    assert {"this model", "repeat the last frame", "optical flow"} < set(figures)


def test_a_flow_can_start_from_a_regression(train, tmp_path):
    assert train("--model.coupling regression --run-name regression").code == 0
    start = tmp_path / "regression/best"
    flow = continue_forecaster(str(start), SmokeFlowTransformer.from_pretrained(start).config | {"coupling": "linear"})
    regression, noisy = SmokeFlowTransformer.from_pretrained(start), torch.randn(2, 3, 3, 8, 8)
    previous, time = torch.randn(2, 2, 3, 8, 8), torch.tensor([0.3, 0.9])
    expected = regression(noisy, torch.zeros(2), previous).sample
    torch.testing.assert_close(flow.eval()(noisy, time, previous).sample, expected)
    ended = train(f"--init-from {start}")
    assert ended.code == 0, ended.err
    ended = train(f"--init-from {start} --model.num_layers 2 --run-name other")
    assert "has model.num_layers = 1, but the configuration has 2" in ended.err


def test_latents_from_a_folder_are_those_encoded_at_the_start(train, tmp_path, data, autoencoder):
    model = SmokeVQVAE.from_pretrained(autoencoder)
    splits = {"train": PackedFrames.load(data / "train.safetensors")}
    folder = tmp_path / "latents"
    encode_dataset(model, SmokeImageProcessor(size=SIZE), splits, folder, latents=True, batch_size=256)
    assert train("--flip false --run-name frames").code == 0
    assert train("--run-name folder", folder).code == 0
    assert history(tmp_path / "frames") == history(tmp_path / "folder")


def refuse_to_encode(*_, **__):
    raise AssertionError("Frames were encoded.")


def test_what_is_refused_before_anything_is_encoded(train, tmp_path, data, autoencoder, monkeypatch):
    torch.manual_seed(1)
    other, processor = SmokeVQVAE(**MODEL).eval(), SmokeImageProcessor(size=SIZE)
    splits = {"train": PackedFrames.load(data / "train.safetensors")}
    encode_dataset(other, processor, splits, tmp_path / "other", latents=True)
    small = SmokeImageProcessor(size=SIZE // 2)
    half = {"train": PackedFrames(splits["train"].images[:, ::2, ::2], sequences=splits["train"].sequences)}
    encode_dataset(SmokeVQVAE.from_pretrained(autoencoder), small, half, tmp_path / "small", latents=True)
    encode_dataset(SmokeVQVAE.from_pretrained(autoencoder), processor, splits, tmp_path / "codes")
    LatentProjection(8, 3, autoencoder_sha256=latents_digest(other)).save_pretrained(tmp_path / "projection")
    unordered = tmp_path / "unordered"
    unordered.mkdir()
    smoke(40).save(unordered / "train.safetensors")
    with monkeypatch.context() as patch:  # the replacement takes effect
        patch.setattr(SmokeVQVAE, "encode", refuse_to_encode)
        with pytest.raises(AssertionError, match="Frames were encoded"):
            train()
    monkeypatch.setattr(SmokeVQVAE, "encode", refuse_to_encode)
    for flags, dataset, message in [
        ("", tmp_path / "other", "was encoded by another model"),
        ("", tmp_path / "codes", "holds codes without latents"),
        ("", tmp_path / "small", "holds latents of size (4, 4): expected (8, 8)"),
        ("", unordered, "does not say which frames follow each other"),
        ("--model.num_frames 20", data, "has no window: the longest run has 12 frames, expected 22"),
        ("--forecast-frames 20", data, "longest clip"),
        (
            "--forecast-frames 8 --model.num_previous 5",
            data,
            "has no clip of 12 observed frames and 8 to predict",
        ),
        (f"--validation-dataset {tmp_path / 'codes'}", data, "holds latents, and validation needs frames"),
        (f"--validation-dataset {tmp_path / 'nowhere'}", data, "There is no dataset at"),
        ("--max-train-samples 8", data, "max_train_samples has no effect"),
        ("--smoke-sampling 0.5", data, "smoke_sampling has no effect"),
        ("--crop-until 0.5", data, "crop_until has no effect"),
        ("--model.coupling brigde", data, "Unknown coupling 'brigde'"),
        ("--model.in_channels 9", data, "expects a number from 1 to latent_channels"),
        ("--model.sample_size 4", data, r"The model expects latents (3, 4, 4), found (3, 8, 8)"),
        (f"--projection {tmp_path / 'projection'}", data, "belongs to another autoencoder"),
    ]:
        ended = train(flags, dataset)
        assert ended.code != 0 and message in f"{ended.code} {ended.err} {ended.out}", (flags, ended)
        assert not (tmp_path / "run").exists()
