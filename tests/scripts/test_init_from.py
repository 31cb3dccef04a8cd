"""--init-from: a training that starts from a trained model."""

import json
import shutil

import pytest
import torch
from training_runs import MODEL, Killed, assert_same_run, batch, history, run, smoke

from smoke_vq import NANO_MODEL, SmokeVQGAN, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.models.initialization import continue_autoencoder
from smoke_vq.tokens import model_digest


def masked_mse(folder) -> dict[int, float]:
    """The masked MSE of each validation of a run, by step."""
    return {step: value for step, name, value in history(folder, "validation/") if name == "validation/masked_mse"}


def facts(folder) -> dict:
    return json.loads((folder / "best/training.json").read_text())


@pytest.fixture
def finetune(train, finished_run, tmp_path):
    """A function (flags) that runs train_vqvae.py from a copy of a trained model, `tmp_path/start`."""
    start = shutil.copytree(finished_run / "best", tmp_path / "start")
    return lambda flags="": train(f"--init-from {start} {flags}")


def test_a_training_that_changes_nothing_ends_with_the_model_that_it_started_from(finetune, finished_run, tmp_path):
    """No continuous phase and no k-means; the untouched model is validated, and stays the best until one is better."""
    ended = finetune("--lr 0 --revival-steps 0 --continuous-steps 7")
    assert ended.code == 0, ended.err
    assert "before training: masked MSE" in ended.out
    assert "No validation was better than the one before training" in ended.out
    source, figures = SmokeVQVAE.from_pretrained(finished_run / "best"), masked_mse(tmp_path / "run")
    assert sorted(figures) == [0, 5, 10, 15] and len(set(figures.values())) == 1
    assert figures[0] == json.loads((finished_run / "best/validation.json").read_text())["masked_mse"]
    for name in ("best", "last"):
        found = SmokeVQVAE.from_pretrained(tmp_path / "run" / name).state_dict()
        assert all(torch.equal(value, found[key]) for key, value in source.state_dict().items())
    assert json.loads((tmp_path / "run/best/validation.json").read_text())["step"] == 0


def test_the_statistics_of_the_latents_are_measured_anew(finetune, finished_run, tmp_path):
    assert finetune().code == 0
    before, after, last = (
        SmokeVQVAE.from_pretrained(folder).config.latents_mean
        for folder in (finished_run / "best", tmp_path / "run/best", tmp_path / "run/last")
    )
    assert len(after) == len(before) == 8 and after != before and last is None


def test_nano_becomes_better_on_frames_of_another_kind_that_it_never_saw(tmp_path):
    data = tmp_path / "coloured_blobs"
    data.mkdir()
    for seed, (split, count) in enumerate({"train": 64, "validation": 16}.items()):
        alphas = smoke(count, seed, size=64).alphas
        colours = torch.rand((count, 1, 1, 3), generator=torch.Generator().manual_seed(seed))
        PackedFrames((alphas[..., None] * colours).byte(), alphas).save(data / f"{split}.safetensors")
    flags = f"--dataset {data} --output-dir {tmp_path} --batch-size 8 --epochs 4 --lr 1e-3 --warmup-steps 2"
    ended = run("train_vqvae.py", f"{flags} --init-from nano --validation-epochs 4 --num-threads 1")
    assert ended.code == 0, ended.err
    figures = masked_mse(tmp_path / "run")
    assert sorted(figures) == [0, 32] and figures[32] < 0.9 * figures[0]
    assert json.loads((tmp_path / "run/best/metrics.json").read_text())["this model"]["masked_mse"] < 0.9 * figures[0]
    nano = SmokeVQVAE.from_pretrained(NANO_MODEL)
    assert SmokeVQVAE.from_pretrained(tmp_path / "run/best").config.latent_channels == nano.config.latent_channels
    assert facts(tmp_path / "run")["base_model"] == "nano"
    card = (tmp_path / "run/best/README.md").read_text()
    assert f"| fine-tuned from | `nano`, weights with SHA-256 `{model_digest(nano)}` |" in card


def test_it_resumes_to_the_last_bit_whatever_became_of_the_start(finetune, finished_run, tmp_path, kill_after):
    assert finetune("--run-name uninterrupted").code == 0
    kill_after(11)
    with pytest.raises(Killed):
        finetune()
    kill_after(None)
    for path in (finished_run / "last").glob("*.safetensors"):  # other weights of the same sizes
        shutil.copyfile(path, tmp_path / "start" / path.name)
    resumed = finetune("--resume-from-checkpoint latest")
    assert resumed.code == 0 and "before training" not in resumed.out, resumed.err
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")
    for name in ("base_model", "base_model_sha256"):
        assert facts(tmp_path / "run")[name] == facts(tmp_path / "uninterrupted")[name]
    first = SmokeVQVAE.from_pretrained(finished_run / "best")
    assert facts(tmp_path / "run")["base_model_sha256"] == model_digest(first)
    assert f"init_from: {tmp_path / 'start'}" in (tmp_path / "run/training_arguments.yaml").read_text()


@pytest.mark.parametrize("quantizer", ["vq", "ema"])
def test_a_vqvae_starts_from_a_vqgan_and_takes_over_the_state_of_its_quantizer(data, tmp_path, quantizer):
    torch.manual_seed(0)
    source = SmokeVQGAN(**MODEL, quantizer_type=quantizer).eval()
    for buffer in source.quantizer.buffers():  # the counts and sums of running means
        buffer.mul_(3)
    source.save_pretrained(tmp_path / "gan")
    model, frames = continue_autoencoder(SmokeVQVAE, str(tmp_path / "gan"), {}), batch(4)["pixel_values"].float()
    assert type(model) is SmokeVQVAE and model.training
    assert torch.equal(model.eval()(frames).sample, source(frames).sample)
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    flags = f"--dataset {data} --output-dir {tmp_path} --batch-size 8 --max-steps 1 --init-from {tmp_path / 'gan'}"
    ended = run("train_vqvae.py", flags)  # without the flags of the model's sizes
    assert ended.code == 0, ended.err
    assert SmokeVQVAE.from_pretrained(tmp_path / "run/last").config.quantizer_type == quantizer
    assert (facts(tmp_path / "run")["base_model"], facts(tmp_path / "run")["base_model_sha256"]) == (
        "gan",
        model_digest(source),
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--model.latent_channels 16", "has model.latent_channels = 8, but the configuration has 16"),
        ("--init-from nano", "nano has model.sample_size = 64, but the configuration has 16: make them equal."),
        ("--init-from /nowhere", "The folder '/nowhere' does not exist"),
        ("--init-from runs/strat", "The folder 'runs/strat' does not exist, but the folder 'runs' does"),
    ],
)
def test_refused_before_data_are_read(finetune, tmp_path, monkeypatch, flags, sentence):
    (tmp_path / "runs/start").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("smoke_vq.training.builders.load_frames", lambda *_, **__: pytest.fail("the data are read"))
    ended = finetune(flags)
    assert ended.code == 2 and sentence in ended.err, ended.err
    assert not (tmp_path / "run").exists()


def test_another_start_is_refused_when_a_run_is_resumed(finetune, finished_run):
    assert finetune("--max-steps 4").code == 0
    ended = finetune(f"--max-steps 4 --resume-from-checkpoint latest --init-from {finished_run / 'last'}")
    assert ended.code == 2 and "had init_from = " in ended.err
