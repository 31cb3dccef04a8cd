"""scripts/train_vqgan.py as a user runs it: both players, all phases, resuming, and invalid arguments."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from training_runs import (
    FLAGS,
    ROOT,
    SIZE,
    Killed,
    assert_same_run,
    fork,
    history,
    run,
    weights,
)

from smoke_vq import PatchDiscriminator, SmokeVQGAN
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames

GAN_FLAGS = (
    FLAGS + " --disc-start 6 --disc-warmup-steps 3 --disc-ramp-steps 4 --lr-disc 1e-3 --lecam-weight 0.1 "
    "--discriminator.num_layers 1 --discriminator.base_channels 8"
)


@pytest.fixture
def train_vqgan(data, tmp_path, vgg16_weights):
    """A function (flags) that runs train_vqgan.py with tiny defaults in `tmp_path`; `flags` override the defaults."""
    common = f"--dataset {data} --output-dir {tmp_path} --perceptual-weights {vgg16_weights} {GAN_FLAGS}"
    return lambda flags="": run("train_vqgan.py", f"{common} {flags}")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory, vgg16_weights) -> Path:
    folder = tmp_path_factory.mktemp("vqgan")
    flags = f"--dataset {data} --output-dir {folder} --perceptual-weights {vgg16_weights} {GAN_FLAGS}"
    ended = run("train_vqgan.py", f"{flags} --run-name uninterrupted")
    assert ended.code == 0, ended.err
    return folder / "uninterrupted"


def test_a_run_saves_and_describes_both_networks(finished):
    model = SmokeVQGAN.from_pretrained(finished / "best").eval()
    discriminator = PatchDiscriminator.from_pretrained(finished / "best", subfolder="discriminator")
    assert discriminator.config.num_layers == 1
    frames = model(torch.zeros(1, 3, SIZE, SIZE)).sample
    assert frames.shape == (1, 3, SIZE, SIZE) and discriminator(frames).shape[1] == 1
    card = (finished / "best" / "README.md").read_text()
    assert "SmokeVQGAN" in card and "perceptual" in card
    named = {name for _, name, _ in history(finished)}
    for name in (
        "reconstruction",
        "perceptual",
        "commitment",
        "codebook",
        "adversarial",
        "discriminator",
        "lecam",
        "total",
        "adaptive_weight",
        "adaptive_weight_raw",
        "logits_real",
        "logits_fake",
        "accuracy_real",
        "accuracy_fake",
        "gradient_norm_model",
        "gradient_norm_discriminator",
    ):
        assert f"train/{name}" in named, name
    first = {
        name: min(at for at, n, _ in history(finished) if n == f"train/{name}")
        for name in ("discriminator", "adversarial")
    }
    assert first == {"discriminator": 4, "adversarial": 7}
    assert any(name == "validation/perceptual" for _, name, _ in history(finished, "validation/"))


def test_a_model_of_one_channel_is_trained_and_loaded(train_vqgan, tmp_path):
    ended = train_vqgan("--run-name grey --model.in_channels 1 --model.out_channels 1 --max-steps 8")
    assert ended.code == 0, ended.err
    best = tmp_path / "grey/best"
    model, processor = SmokeVQGAN.from_pretrained(best).eval(), SmokeImageProcessor.from_pretrained(best)
    assert PatchDiscriminator.from_pretrained(best, subfolder="discriminator").config.in_channels == 1
    values = processor(torch.full((1, SIZE, SIZE, 3), 200, dtype=torch.uint8).numpy()).pixel_values
    assert values.shape == (1, 1, SIZE, SIZE) and model(values).sample.shape == values.shape


def test_the_progress_bar_shows_complete_names(data, tmp_path, vgg16_weights):
    """Shortened to six letters, `adversarial` and `adversarial_pull` had the same name."""
    flags = f"--dataset {data} --output-dir {tmp_path} --perceptual-weights {vgg16_weights} {GAN_FLAGS} --max-steps 8"
    shown = run("train_vqgan.py", flags).err
    for name in ("total", "reconstruction", "perceptual", "adversarial", "discriminator"):
        assert f" {name}=" in shown, name


@pytest.mark.parametrize(
    "step", [5, 11]
)  # while only the discriminator learns; in the middle of an epoch, with all losses
def test_killed_and_resumed_to_the_last_bit(train_vqgan, finished, tmp_path, kill_after, step):
    kill_after(step)
    with pytest.raises(Killed):
        train_vqgan()
    kill_after(None)
    resumed = train_vqgan("--resume")
    assert resumed.code == 0, resumed.err
    assert re.search(r"Resumed from .*, step \d+ of 15", resumed.out)
    assert_same_run(tmp_path / "run", finished)
    for name in ("best", "last"):
        assert weights(tmp_path / "run" / name / "discriminator") == weights(finished / name / "discriminator")


def test_a_run_without_a_best_model_is_continued(train_vqgan, finished, tmp_path):
    """Its best/ holds the last model, without figures to compare with."""
    best = shutil.copytree(finished, tmp_path / "run") / "best/validation.json"
    best.write_text('{"step": 15}')
    ended = train_vqgan("--resume --epochs 4")
    assert ended.code == 0, ended.err
    assert json.loads(best.read_text())["step"] == 20


def test_two_processes_equal_one_with_twice_the_batch(data, finished, vgg16_weights, tmp_path):
    flags = f"--dataset {data} --output-dir {tmp_path} --perceptual-weights {vgg16_weights} {GAN_FLAGS}"
    fork([ROOT / "scripts/train_vqgan.py", *flags.split(), "--batch-size", "4"], processes=2)
    for name in ("reconstruction", "perceptual", "discriminator", "adversarial", "adaptive_weight_raw", "lecam"):
        found, expected = (
            {at: value for at, n, value in history(folder) if n == f"train/{name}" and at <= 8}
            for folder in (tmp_path / "run", finished)
        )
        assert found == pytest.approx(expected, rel=0.02, abs=1e-5) and found, name


def test_training_continues_from_a_vqvae_and_from_a_vqgan(train_vqgan, finished_run, finished, tmp_path):
    ended = train_vqgan(
        f"--run-name second --init-from {finished_run / 'best'} --epochs 1 --disc-start 1 --disc-warmup-steps 0"
    )
    assert ended.code == 0, ended.err
    assert "The discriminator is new." in ended.out and "before training: " in ended.out
    start = SmokeVQGAN.from_pretrained(tmp_path / "second/best").state_dict()
    ended = train_vqgan(f"--run-name third --init-from {finished / 'best'} --epochs 1 --train-only-decoder true")
    assert ended.code == 0, ended.err
    assert f"The discriminator is that of {finished / 'best'}." in ended.out
    base, third = (SmokeVQGAN.from_pretrained(folder) for folder in (finished / "best", tmp_path / "third/best"))
    assert third.config.latents_mean == base.config.latents_mean and third.config.latents_std == base.config.latents_std
    before, after = base.state_dict(), third.state_dict()
    for name in before:
        assert torch.equal(before[name], after[name]) == (
            not name.startswith("decoder.") or before[name].numel() == 0
        ), name
    assert set(start) == set(before)


def test_a_vqgan_that_no_step_improves_stays_the_best_with_its_discriminator(train_vqgan, finished, tmp_path):
    ended = train_vqgan(f"--init-from {finished / 'best'} --max-steps 1 --lr 0 --revival-steps 0")
    assert ended.code == 0 and "No validation was better than the one before training" in ended.out, ended.err
    for model_class, name in ((SmokeVQGAN, None), (PatchDiscriminator, "discriminator")):
        before, after = (
            model_class.from_pretrained(folder, subfolder=name).state_dict()
            for folder in (finished / "best", tmp_path / "run/best")
        )
        assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_frozen_encoder_keeps_codes_compatible(train_vqgan, finished, data, tmp_path):
    ended = train_vqgan(f"--init-from {finished / 'best'} --epochs 1 --train-only-decoder true")
    assert ended.code == 0, ended.err
    pixel_values = SmokeImageProcessor(size=SIZE).to_pixel_values(load_frames(str(data), "validation", SIZE).images)
    codes = [
        SmokeVQGAN.from_pretrained(folder).eval().encode(pixel_values).indices
        for folder in (finished / "best", tmp_path / "run/best")
    ]
    assert torch.equal(*codes)


def test_a_discriminator_that_starts_too_late_is_reported(train_vqgan):
    ended = train_vqgan("--epochs 1 --disc-start 50")
    assert ended.code == 0 and "WARNING: disc_start 50 is after the last of the 5 steps" in ended.out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--perceptual-weight -1", "perceptual_weight expects a finite number of 0 or more, found -1.0."),
        ("--adversarial-weight -0.5", "adversarial_weight expects a finite number of 0 or more, found -0.5."),
        ("--disc-weight-max -1", "disc_weight_max expects a finite number of 0 or more, found -1.0."),
        (
            "--perceptual-weights /nowhere.safetensors",
            "The file '/nowhere.safetensors' with the weights of vgg16 does not exist",
        ),
        ("--discriminator.num_layers 3", "Images of 16 pixels are too small for a discriminator with num_layers=3"),
        ("--discriminator.layers 3", "Unknown key discriminator.layers"),
        ("--discriminator.norm instance", "Unknown norm 'instance'"),
        ("--train-only-decoder true", "train_only_decoder needs init_from"),
        ("--init-from /nowhere", "the folder '/nowhere' does not exist"),
        ("--perceptual lpips", "--perceptual: invalid choice: 'lpips'"),
        ("--mixed-precision fp16 ", "mixed_precision fp16 is not supported by VQGAN"),
    ],
)
def test_refused_before_anything_is_written(train_vqgan, tmp_path, flags, sentence):
    ended = train_vqgan(flags)
    assert ended.code == 2 and sentence.lower() in ended.err.lower(), ended.err
    assert not (tmp_path / "run").exists()


def test_a_missing_or_different_discriminator_is_refused(train_vqgan, finished, tmp_path):
    bare = shutil.copytree(finished / "best", tmp_path / "bare")
    shutil.rmtree(bare / "discriminator")
    ended = train_vqgan(f"--init-from {bare}")
    assert ended.code == 2 and "without its discriminator/ folder" in ended.err and "--fresh-discriminator" in ended.err
    ended = train_vqgan(f"--init-from {finished / 'best'} --discriminator.base_channels 16")
    assert ended.code == 2 and "has discriminator.base_channels = 8, but the configuration has 16" in ended.err
    ended = train_vqgan(f"--init-from {finished / 'best'} --model.latent_channels 16")
    assert ended.code == 2 and "has model.latent_channels = 8, but the configuration has 16" in ended.err
    config = json.loads((finished / "best/discriminator/config.json").read_text())
    other = shutil.copytree(finished / "best", tmp_path / "other")
    (other / "discriminator/config.json").write_text(json.dumps(config | {"num_layers": 2}))
    ended = train_vqgan(f"--init-from {other} --discriminator.num_layers 2")
    assert ended.code == 2 and "error:" in ended.err
    ended = train_vqgan(f"--run-name fresh --init-from {bare} --fresh-discriminator true --epochs 1")
    assert ended.code == 0, ended.err
