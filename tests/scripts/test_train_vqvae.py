"""scripts/train_vqvae.py as a user runs it."""

import json
import os
import re

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from training_runs import FLAGS, ROOT, SIZE, Killed, assert_same_run, fork, history, run, smoke, weights

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.training.checkpoint import list_checkpoints


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_of_a_run(finished_run):
    assert names(finished_run) - {"stdout.txt"} == {
        "best", "last", "checkpoints", "history.jsonl", "samples", "samples.png", "training_arguments.yaml",
        "heartbeat.json",
    }  # fmt: skip
    model = {"config.json", "diffusion_pytorch_model.safetensors", "preprocessor_config.json", "validation.json"}
    model |= {"smoke_vq_model.py", "smoke_vq_processor.py", "checksums.sha256"}
    assert names(finished_run / "last") == model
    half = {"diffusion_pytorch_model.fp16.safetensors"}
    card = {
        "README.md",
        "metrics.json",
        "reconstructions.png",
        "samples.png",
        "training.json",
        "training_arguments.yaml",
    }
    assert names(finished_run / "best") == model | half | card
    assert [path.name for path in list_checkpoints(finished_run / "checkpoints")] == [
        "checkpoint-00000012",
        "checkpoint-00000015",
    ]
    readable = [path for path in (finished_run / "best").iterdir() if path.stat().st_mode & 0o044 == 0o044]
    assert len(readable) == 14


def test_the_history_of_a_run(finished_run):
    assert sorted({step for step, *_ in history(finished_run)}) == list(range(1, 16))
    validations = history(finished_run, "validation/")
    assert sorted({step for step, *_ in validations}) == [5, 10, 15]
    assert {name for _, name, _ in validations} >= {"validation/masked_mse", "validation/perplexity"}
    assert {name for _, name, _ in history(finished_run)} == {
        "train/reconstruction", "train/commitment", "train/codebook", "train/total", "train/gradient_norm_model"
    }  # fmt: skip
    by_step = {}
    for step, name, value in history(finished_run):
        by_step.setdefault(step, {})[name.removeprefix("train/")] = value
    for losses in by_step.values():
        total = losses["reconstruction"] + 0.1 * losses["commitment"] + losses["codebook"]
        assert losses["total"] == pytest.approx(total, rel=1e-6)


def test_the_learning_rate_warms_up_and_falls(finished_run):
    rates = [value for *_, value in history(finished_run, "lr/")]
    assert max(rates) == pytest.approx(1e-3, rel=0.02) and rates.index(max(rates)) in (1, 2) and rates[-1] < 1e-6


def test_the_model_loads_and_gives_the_figures_of_its_card(finished_run, data):
    model = SmokeVQVAE.from_pretrained(finished_run / "best").eval()
    processor = SmokeImageProcessor.from_pretrained(finished_run / "best")
    frames = PackedFrames.load(data / "validation.safetensors")
    pixel_values = processor.to_pixel_values(frames.images)
    mask = frames.alphas[:, None].double() / 255
    with torch.no_grad():
        output = model(pixel_values)
    error = (output.sample - pixel_values).double().square().mean(dim=1, keepdim=True)
    metrics = json.loads((finished_run / "best/metrics.json").read_text())["this model"]
    assert metrics["masked_mse"] == pytest.approx(float((mask * error).sum() / mask.sum()), rel=1e-4)
    assert metrics["num_codes_used"] == len(output.indices.unique())
    assert metrics["num_tokens"] == 10 * 64 and metrics["num_frames"] == 10


def test_the_card(finished_run, data):
    text = (finished_run / "best/README.md").read_text()
    metrics = json.loads((finished_run / "best/metrics.json").read_text())
    assert set(metrics) == {"this model", "black", "bicubic 8x8", "WebP", "JPEG"}
    best = json.loads((finished_run / "best/validation.json").read_text())
    assert f"{metrics['this model']['masked_mse']:.5f}" in text and f"step {best['step']}" in text
    assert best["masked_mse"] == pytest.approx(metrics["this model"]["masked_mse"], rel=1e-6)
    metadata = yaml.safe_load(text.split("---")[1])
    reported = {r["metrics"][0]["type"]: r["metrics"][0]["value"] for r in by_metric(metadata)}
    assert reported["psnr"] == pytest.approx(metrics["this model"]["psnr"], abs=1e-5)
    assert metadata["license"] == "apache-2.0" and "{{" not in text
    assert "reconstructions.png" in text and Image.open(finished_run / "best/reconstructions.png").size[0] > SIZE


def by_metric(metadata: dict) -> list[dict]:
    """The entries of the model-index by metric."""
    return [{"metrics": [metric]} for result in metadata["model-index"][0]["results"] for metric in result["metrics"]]


@pytest.mark.parametrize(
    "name", ["README.md", "training_arguments.yaml", "training.json", "config.json", "metrics.json"]
)
def test_published_files_have_no_local_paths(finished_run, data, name):
    text = (finished_run / "best" / name).read_text()
    assert str(data.parent) not in text and str(finished_run.parent) not in text and str(ROOT) not in text
    assert not re.search(r"(^|[\s\"'=])/(home|root|tmp|work|Users)/", text) and "hf_" not in text


def test_a_path_after_an_equals_sign_is_not_published(data, tmp_path):
    ended = run("train_vqvae.py", f"--dataset={data} --output-dir={tmp_path} {FLAGS} --max-steps 1")
    assert ended.code == 0, ended.err
    text = (tmp_path / "run/best/README.md").read_text()
    assert f"--dataset={data.name}" in text and str(data) not in text


def test_the_terminal_ends_with_a_table(finished_run):
    shown = (finished_run / "stdout.txt").read_text()
    table = shown[shown.index("| metric") :]
    for word in ("masked_mse", "psnr", "ssim", "perplexity", "num_tokens", "black", "bicubic 8x8", "this model"):
        assert word in table
    assert str(finished_run / "best") in table


def test_the_picture_of_samples_has_a_row_per_validation(finished_run):
    rows = sorted(path.name for path in (finished_run / "samples").iterdir())
    assert rows == [f"step-{step:08d}.png" for step in (0, 5, 10, 15)]
    tile = 128  # pixels of a frame: those of the tiny model have 16x16 and are enlarged 8 times
    assert Image.open(finished_run / "samples.png").height == 5 * (tile + 2) - 2  # the inputs and four validations
    first, last = (np.asarray(Image.open(finished_run / "samples" / name)) for name in (rows[0], rows[-1]))
    assert first.shape == (SIZE, 3 * SIZE, 3) and (first != last).any()


def test_accelerate_launch_with_a_configuration(data, tmp_path):
    """The command of the README in a small run; flags take precedence over the file."""
    model = "".join(f"  {line}\n" for line in FLAGS.replace("--model.", "\n").split("\n")[1:]).replace(" [", ": [")
    model = re.sub(r"  (\w+) (\d+) *\n", r"  \1: \2\n", model)
    file = tmp_path / "config.yaml"
    file.write_text(f"dataset: {data}\nbatch_size: 8\nepochs: 9\nlr: 1e-3\ncodebook_init_vectors: 512\nmodel:\n{model}")
    words = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "scripts/train_vqvae.py"]
    flags = f"--config {file} --output-dir {tmp_path} --run-name mine --epochs 1 --num-threads 1"
    fork([*words, *flags.split()])
    assert sorted({step for step, *_ in history(tmp_path / "mine", "validation/")}) == [5]
    SmokeVQVAE.from_pretrained(tmp_path / "mine/best")


@pytest.mark.parametrize(
    ("flags", "validated"),
    [
        ("--validation-epochs 2", [10, 15]),
        ("--max-steps 3", [3]),
        ("--max-steps 7", [5, 7]),
        ("--max-steps 17", [5, 10, 15, 17]),
        ("--gradient-accumulation-steps 2", [2, 4, 6]),
    ],
)
def test_the_last_step_is_validated(train, tmp_path, flags, validated):
    assert train(flags).code == 0
    assert sorted({step for step, *_ in history(tmp_path / "run", "validation/")}) == validated
    assert json.loads((tmp_path / "run/last/validation.json").read_text()) == {"step": validated[-1]}


def test_more_images_than_frames(train, tmp_path):
    assert train("--num-images 64 --max-steps 1").code == 0
    assert Image.open(tmp_path / "run/samples/step-00000001.png").width == 10 * SIZE


def test_without_averaging(train, tmp_path):
    assert train("--ema-decay 0 --epochs 1").code == 0
    SmokeVQVAE.from_pretrained(tmp_path / "run/best")


def test_the_averaged_weights_are_exported(train, tmp_path):
    assert train("--ema-decay 0 --epochs 1 --run-name live").code == 0
    assert train("--epochs 1 --run-name averaged").code == 0
    live, averaged = (SmokeVQVAE.from_pretrained(tmp_path / name / "last") for name in ("live", "averaged"))
    assert history(tmp_path / "live") == history(tmp_path / "averaged")  # averaging changes nothing in the training
    assert not torch.equal(live.decoder.conv_in.weight, averaged.decoder.conv_in.weight)


def test_bf16(train, tmp_path):
    assert train("--mixed-precision bf16 --epochs 1").code == 0
    model = SmokeVQVAE.from_pretrained(tmp_path / "run/best")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_gradient_checkpointing_changes_no_loss(train, tmp_path):
    for name in ("false", "true"):
        assert train(f"--gradient-checkpointing {name} --run-name {name} --max-steps 3").code == 0
    found, expected = history(tmp_path / "true"), history(tmp_path / "false")
    assert [value for *_, value in found] == pytest.approx([value for *_, value in expected], rel=1e-5)


def test_no_model_before_quantization_is_the_best(train, tmp_path):
    """Validations at steps 5, 10 and 15; the reconstructions of the first need no codes and are the best."""
    assert train("--continuous-steps 7 --lr 1e-5 --warmup-steps 0").code == 0
    assert json.loads((tmp_path / "run/best/validation.json").read_text())["step"] in (10, 15)


def test_best_holds_the_last_model_if_no_validation_qualifies(train, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "smoke_vq.training.recipes.autoencoder.COLLAPSED_DIVERSITY", 1e9
    )  # every output counts as blank
    ended = train()
    assert ended.code == 0 and "No validation qualified as the best" in ended.out
    assert json.loads((tmp_path / "run/best/validation.json").read_text()) == {"step": 15}
    assert weights(tmp_path / "run/best") == weights(tmp_path / "run/last")


# Several datasets


@pytest.fixture(scope="session")
def wisps(tmp_path_factory):
    """A second dataset, without alpha."""
    folder = tmp_path_factory.mktemp("more") / "wisps"
    folder.mkdir()
    for split, count in (("train", 24), ("validation", 6)):
        PackedFrames(smoke(count, seed=7).images).save(folder / f"{split}.safetensors")
    return folder


@pytest.mark.parametrize("weights", ["", "--dataset-weights 1 3"])
def test_a_mix_is_resumed_to_the_last_bit(train, data, wisps, tmp_path, kill_after, weights):
    flags = f"--dataset {data} {wisps} {weights} --epochs 2"  # 8 steps per epoch
    assert train(f"{flags} --run-name uninterrupted").code == 0
    kill_after(15)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    other = f"--dataset {wisps} {data} {weights} --epochs 2" if not weights else f"{flags} --dataset-weights 1 2"
    refusal = train(f"--resume {other}")
    message = (
        "had dataset_weights = [1.0, 3.0] and cannot continue with" if weights else "The training data are not those"
    )
    assert refusal.code == 2 and message in refusal.err
    resumed = train(f"--resume {flags}")
    assert resumed.code == 0 and "step 12 of 16" in resumed.out, resumed.err
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")


def test_the_card_of_a_mix_names_its_datasets(train, data, wisps, tmp_path):
    ended = train(f"--dataset {data} {wisps} --dataset-weights 1 3 --max-steps 1 --validation-dataset {wisps}")
    assert ended.code == 0, ended.err
    text, arguments = ((tmp_path / "run/best" / name).read_text() for name in ("README.md", "training_arguments.yaml"))
    assert "- trained on `blobs`, split train, weight 1\n- trained on `wisps`, split train, weight 3\n" in text
    assert "whole split `validation` of `wisps`, with averaged" in " ".join(text.split())
    values = yaml.safe_load(arguments)
    assert values["dataset"] == ["blobs", "wisps"] and values["validation_dataset"] == ["wisps"]
    assert str(tmp_path) not in text + arguments and str(data) not in text + arguments and str(wisps) not in text
    (result,) = yaml.safe_load(text.split("---")[1])["model-index"][0]["results"]
    fingerprint = PackedFrames.load(wisps / "validation.safetensors").fingerprint()
    assert result["dataset"] == {"name": "wisps", "type": "wisps", "split": "validation", "revision": fingerprint}
    assert json.loads((tmp_path / "run/best/metrics.json").read_text())["this model"]["num_frames"] == 6


def test_validation_joins_the_datasets_of_a_mix(train, data, wisps, tmp_path):
    assert train(f"--dataset {data} {wisps} --dataset-weights 3 1 --max-steps 1").code == 0
    assert json.loads((tmp_path / "run/best/metrics.json").read_text())["this model"]["num_frames"] == 16
    text = " ".join((tmp_path / "run/best/README.md").read_text().split())
    assert "whole split `validation` of `blobs` and `wisps`, " in text


def test_simulated_plumes_beside_a_folder(few_plumes, train, data, tmp_path):
    flags = "--resize --max-train-samples 80 --max-steps 2 --dataset-weights 1 1"
    ended = train(f"--dataset simulated:tiny {data} {flags}")
    assert ended.code == 0, ended.err
    text, arguments = ((tmp_path / "run/best" / name).read_text() for name in ("README.md", "training_arguments.yaml"))
    assert "trained on `simulated plumes (tiny)`, split train, weight 1, version 1.0.0, licence cc0-1.0\n" in text
    assert yaml.safe_load(arguments)["dataset"] == ["simulated:tiny", "blobs"]
    (result,) = yaml.safe_load(text.split("---")[1])["model-index"][0]["results"]
    assert result["dataset"]["name"] == "simulated plumes (tiny) + blobs"


# Invalid input


def refused(ended, folder, *messages: str) -> None:
    """Check for one sentence, exit status 2 and no files."""
    assert ended.code == 2
    (line,) = [line for line in ended.err.strip().splitlines() if line.startswith("error: ")]
    assert ended.err.strip().endswith(line), "the error is the last line"
    for message in messages:
        assert message in line
    assert "Traceback" not in ended.err and not folder.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--dataset /nowhere/at/all", ["There is no dataset at /nowhere/at/all"]),
        ("--validation-split dev", ["has no split 'dev': found ['train', 'validation']"]),
        ("--train-split learn", ["has no split 'learn': found"]),
        ("--model.sample_size 15", ["sample_size 15 is not a multiple of 2, the downsampling factor"]),
        ("--model.sample_size 32", ["frames of 16x16: expected 32x32"]),
        ("--model.encoder_block_out_channels [6,16]", ["multiples of 4", "[6, 16]"]),
        ("--model.encoder_block_out_channels [8,16,16]", ["the same number of levels", "[8, 16, 16]", "[16, 8]"]),
        ("--model.latent_chanels 8", ["Unknown key model.latent_chanels", "did you mean 'latent_channels'"]),
        ("--model.quantizer_type fqs", ["Unknown quantizer 'fqs'", "vq"]),
        ("--model.in_channels 4", ["in_channels and model.out_channels expect 3 for RGB", "found [4, 3]"]),
        ("--model.out_channels 1", ["in_channels and model.out_channels expect 3 for RGB", "found [3, 1]"]),
        ("--bacth-size 8", ["Unknown flag '--bacth-size'", "did you mean 'batch_size'"]),
        ("--epochs many", ["invalid int value: 'many'"]),
        ("--dataset simulated:huge", ["Unknown configuration of simulated plumes 'huge'", "'tiny'"]),
        ("--dataset-weights 1 2", ["dataset_weights expects one weight for each of", "found [1.0, 2.0]"]),
        ("--dataset-weights 1 --smoke-sampling 1", ["smoke_sampling and dataset_weights both say how often"]),
        ("--crop-until 0.5 --crop-size 24", ["crop_size expects at most 16 pixels", "found 24"]),
        (
            "--crop-until 0.5 --crop-size 8 --model.encoder_block_out_channels [8,8,8,8,8]"
            " --model.decoder_block_out_channels [8,8,8,8,8]",
            ["crop_size expects a multiple of 16, the model's downsampling factor, found 8"],
        ),
        ("--crop-until 1.5", ["crop_until expects a share from 0 to 1, found 1.5"]),
        ("--crop-size 20", ["crop_size expects a multiple of 8, found 20"]),
        ("--validation-dataset /nowhere", ["There is no dataset at /nowhere"]),
        ("--batch-size 64", ["40 frames, fewer than one batch of 64"]),
        ("--gradient-accumulation-steps 6", ["An epoch of 5 batches is shorter than one step of 6 micro-batches"]),
        ("--model.num_vq_embeddings 4096", ["latents for 4096 codes", "fewer codes"]),
        ("--config nowhere.yaml", ["The configuration file nowhere.yaml does not exist"]),
        ("--resume-from-checkpoint checkpoint-00000004", ["has no checkpoint 'checkpoint-00000004'", "'latest'"]),
        ("--quantizer-loss-weights.entropy 1", ["'entropy', which is not a loss of VectorQuantizer", "'commitment'"]),
        ("--model.quantizer_kwargs {levels:[8]}", ["unexpected keyword argument 'levels'", "it takes ['gradient'"]),
    ],
)
def test_invalid_arguments_end_in_one_sentence_and_write_nothing(train, tmp_path, flags, message):
    refused(train(flags), tmp_path / "run", *message)


def test_a_split_without_frames_is_refused(train, tmp_path, write_dataset, rows):
    folder = write_dataset("hollow", {"train": rows(40), "validation": []})
    ended = train(f"--dataset {folder}")
    refused(ended, tmp_path / "run", "validation", str(folder))


def test_frames_with_other_channels_are_refused(train, tmp_path):
    for split in ("train", "validation"):
        folder = tmp_path / "images" / split
        folder.mkdir(parents=True)
        for index in range(12):
            Image.new("RGBA", (SIZE, SIZE)).save(folder / f"{index}.png")
    refused(train(f"--dataset {tmp_path / 'images'}"), tmp_path / "run", "Expected RGB images", "mode RGBA")


def test_a_truncated_file_of_frames_is_refused(train, tmp_path):
    folder = tmp_path / "torn"
    folder.mkdir()
    smoke(40).save(folder / "train.safetensors")
    smoke(10).save(folder / "validation.safetensors")
    content = (folder / "train.safetensors").read_bytes()
    (folder / "train.safetensors").write_bytes(content[: len(content) // 2])
    refused(train(f"--dataset {folder}"), tmp_path / "run", "train.safetensors", "is not a complete safetensors file")


def test_the_folder_of_another_run_is_not_changed(train, copied_run):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in copied_run.rglob("*")}
    ended = train()
    assert ended.code == 2 and f"{copied_run} already holds a run: choose another --run-name" in ended.err
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in copied_run.rglob("*")} == before


def test_a_folder_with_other_files_is_not_changed(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("years")
    ended = train()
    assert ended.code == 2 and "already holds a run" in ended.err
    assert names(tmp_path / "run") == {"thesis.tex"}


def test_an_empty_folder_is_accepted(train, tmp_path):
    (tmp_path / "run").mkdir()
    assert train("--max-steps 1").code == 0


def test_a_loss_that_is_not_finite_stops_and_continues_from_the_last_good_checkpoint(train, tmp_path, monkeypatch):
    from smoke_vq.training.player import Player

    update, calls = Player.update, []

    def broken(self, loss):
        calls.append(loss)
        return update(self, loss * float("nan") if len(calls) == 10 else loss)

    with monkeypatch.context() as patch:
        patch.setattr(Player, "update", broken)
        ended = train()
    folder = tmp_path / "run"
    assert ended.code == 2 and "Traceback" not in ended.err
    assert re.search(
        r"error: The loss was not a finite number at step 1[01] \(.+\)\. The last good checkpoint is", ended.err
    )
    newest = list_checkpoints(folder / "checkpoints")[-1]
    assert newest.name == "checkpoint-00000008" and str(newest) in ended.err and "--resume" in ended.err
    resumed = train("--resume --lr 1e-4 --max-grad-norm 0.5")
    assert resumed.code == 0, resumed.err
    assert "Continuing with lr = 0.0001, which was 0.001." in resumed.out
    rates = {step: value for step, _, value in history(folder, "lr/")}
    assert rates[8] > 2e-4 and max(rates[step] for step in range(9, 16)) < 1e-4
    assert all(np.isfinite(value) for *_, value in history(folder))


def test_a_diverging_training_is_stopped(train, tmp_path):
    ended = train("--lr 1e30")
    assert ended.code == 2 and "not a finite number at step" in ended.err and "There is no checkpoint yet" in ended.err
    assert list_checkpoints(tmp_path / "run/checkpoints") == []


def test_weights_that_are_not_finite_are_never_saved(train, tmp_path, monkeypatch):
    """The loss of a step is computed before its update, so the checkpoint after it could contain NaN."""
    from smoke_vq.training.player import Player

    update, calls = Player.update, []

    def broken(self, loss):
        calls.append(loss)
        return update(self, loss * float("nan") if len(calls) == 8 else loss)

    monkeypatch.setattr(Player, "update", broken)
    ended = train()
    assert ended.code == 2 and "at step 8 (gradient_norm_model)." in ended.err
    assert [p.name for p in list_checkpoints(tmp_path / "run/checkpoints")] == [
        "checkpoint-00000004",
        "checkpoint-00000005",
    ]


# Trackers


def test_tensorboard_has_figures_and_pictures(train, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train("--report-to tensorboard --epochs 1").code == 0
    (events,) = [p for p in (tmp_path / "run").rglob("events.out.tfevents.*") if p.parent.name == "smoke-vq"]
    found = EventAccumulator(str(events.parent))
    found.Reload()
    assert {"train/total", "validation/masked_mse"} <= set(found.Tags()["scalars"])
    assert found.Tags()["images"] == ["samples"]
    assert [event.step for event in found.Images("samples")] == [0, 5]


def test_wandb_offline(train, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    ended = train("--report-to wandb --epochs 1")
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(folder.rglob("*.png")) and list(folder.glob("*.wandb"))


def test_trackio(train):
    pytest.importorskip("trackio")
    from trackio.utils import TRACKIO_DIR  # read once, when trackio is imported: tests/conftest.py moves HF_HOME

    assert str(TRACKIO_DIR).startswith(os.environ["HF_HOME"])
    ended = train("--report-to trackio --epochs 1 --project-name tried")
    assert ended.code == 0, ended.err
    assert list(TRACKIO_DIR.glob("tried*.db")) and list((TRACKIO_DIR / "media" / "tried").rglob("*.png"))


def test_a_tracker_that_is_not_installed_is_refused(train, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else find(name, *a))
    refused(train("--report-to wandb"), tmp_path / "run", "report_to wandb needs the package wandb", "pip install")


def test_help():
    ended = run("train_vqvae.py", "--help")
    assert ended.code == 0 and "--gradient_accumulation_steps" in ended.out and os.linesep in ended.out
