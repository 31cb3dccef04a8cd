"""scripts/train_latent_projection.py as a user runs it: start, training, export, card, resuming, mistakes."""

import json
from pathlib import Path

import pytest
import torch
from training_runs import ROOT, SIZE, Killed, assert_same_run, fork, history, run

from smoke_vq import LatentProjection, SmokeImageProcessor, SmokeVQVAE, load_frames
from smoke_vq.tokens import latents_digest

FLAGS = (
    "--batch-size 8 --epochs 2 --lr 1e-3 --warmup-steps 2 --num-images 3 --logging-steps 1 --checkpointing-steps 4 "
    "--num-threads 1 --model.projected_channels 2 --model.hidden_channels 8"
)


@pytest.fixture(scope="session")
def train_projection(data, finished_run):
    """A function (folder, flags) that trains a projection for the autoencoder of `finished_run`."""

    def train(folder: Path, flags: str = ""):
        common = f"--autoencoder {finished_run / 'best'} --dataset {data} --output-dir {folder} {FLAGS}"
        return run("train_latent_projection.py", f"{common} {flags}")

    return train


@pytest.fixture(scope="session")
def trained(train_projection, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("projections")
    ended = train_projection(folder)
    assert ended.code == 0, ended.err
    assert "Principal components: " in ended.out and "step 10: latent error" in ended.out
    return folder / "run"


@pytest.fixture
def latents(finished_run, data):
    autoencoder = SmokeVQVAE.from_pretrained(finished_run / "best")
    frames = load_frames(str(data), "train", SIZE)
    with torch.no_grad():
        return autoencoder.encode(SmokeImageProcessor(size=SIZE).to_pixel_values(frames.images)).latents


def test_the_model_names_its_autoencoder_and_is_normalized(trained, finished_run, latents):
    projection = LatentProjection.from_pretrained(trained / "best")
    projection.check_autoencoder(SmokeVQVAE.from_pretrained(finished_run / "best"))
    projected = projection.project(latents).detach().double()
    assert projected.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert float(projected.var(dim=(0, 2, 3), correction=0).mean()) == pytest.approx(1, rel=1e-4)


def test_figures_stand_beside_those_of_pca_and_of_all_channels(trained):
    figures = json.loads((trained / "best/metrics.json").read_text())
    assert list(figures) == ["this model", "PCA", "all channels"]
    assert figures["all channels"]["codes_unchanged"] == 1 and figures["all channels"]["latent_error"] == 0
    assert 0 < figures["PCA"]["latent_error"] < 1 and figures["PCA"]["codes_unchanged"] < 1
    step = json.loads((trained / "best/validation.json").read_text())["step"]
    own = {name: value for at, name, value in history(trained, "validation/") if at == step}
    assert figures["this model"]["masked_mse"] == pytest.approx(own["validation/masked_mse"], rel=1e-3)


def test_the_loss_falls_and_the_autoencoder_stays(trained, finished_run):
    losses = [value for _, name, value in history(trained) if name == "train/total"]
    assert sum(losses[-3:]) < sum(losses[:3])
    config = json.loads((trained / "best/config.json").read_text())
    assert config["autoencoder_sha256"] == latents_digest(SmokeVQVAE.from_pretrained(finished_run / "best"))


def test_the_card_says_what_it_is_for(trained):
    card = (trained / "best/README.md").read_text()
    for words in ("8 latent channels of smoke plumes as 2", "| PCA ", "`codes_unchanged`", "the autoencoder frozen"):
        assert words in card, words
    assert "{{" not in card and str(trained) not in card
    assert (trained / "best/reconstructions.png").is_file() and list((trained / "best").glob("*.fp16.safetensors"))


def test_a_killed_run_continues_to_the_last_bit(train_projection, trained, tmp_path, kill_after):
    kill_after(6)
    with pytest.raises(Killed):
        train_projection(tmp_path)
    kill_after(None)
    ended = train_projection(tmp_path, "--resume-from-checkpoint latest")
    assert ended.code == 0, ended.err
    assert_same_run(tmp_path / "run", trained)


def test_two_processes_equal_one_with_twice_the_batch(data, finished_run, trained, tmp_path):
    flags = f"--autoencoder {finished_run / 'best'} --dataset {data} --output-dir {tmp_path} {FLAGS} --batch-size 4"
    fork([ROOT / "scripts/train_latent_projection.py", *flags.split()], processes=2)
    for name in ("latent", "pixel"):
        found, expected = (
            {at: value for at, n, value in history(folder) if n == f"train/{name}"}
            for folder in (tmp_path / "run", trained)
        )
        assert found == pytest.approx(expected, rel=0.02, abs=1e-6) and found, name


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--model.latent_channels 32", "model.latent_channels is 32, but "),
        (f"--model.autoencoder_sha256 {'a' * 64}", f"model.autoencoder_sha256 is '{'a' * 64}', but "),
        ("--model.projected_channels 9", "projected_channels expects a number from 1 to latent_channels (8), found 9"),
        ("--latent-weight 0 --pixel-weight 0", "latent_weight and pixel_weight are both 0: nothing is left to learn"),
        ("--autoencoder /nowhere", "The folder '/nowhere' does not exist"),
        ("--model.channels 4", "Unknown key model.channels"),
    ],
)
def test_mistakes_end_in_one_sentence(train_projection, tmp_path, flags, said):
    ended = train_projection(tmp_path, flags)
    assert ended.code == 2 and said in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--validation-dataset /nowhere", "There is no dataset at"),
        ("--gradient-accumulation-steps 100", "shorter than one step of 100 micro-batches"),
        ("", None),  # the replacement takes effect
    ],
)
def test_data_are_checked_before_anything_is_encoded(train_projection, tmp_path, monkeypatch, flags, said):
    def refuse(*_, **__):
        raise ValueError("Frames were encoded.")

    monkeypatch.setattr(SmokeVQVAE, "encode", refuse)
    ended = train_projection(tmp_path, flags)
    assert ended.code == 2 and (said or "Frames were encoded") in ended.err


def test_a_missing_autoencoder_is_named(data):
    ended = run("train_latent_projection.py", f"--dataset {data}")
    assert ended.code == 2 and "No autoencoder: give autoencoder in the configuration" in ended.err
