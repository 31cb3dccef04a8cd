"""scripts/evaluate.py measures what the card of a model reports."""

import csv
import json
import shutil

import pytest
import torch
from PIL import Image
from training_runs import ROOT, fork, run, smoke

from smoke_vq.data.frames import PackedFrames

BASELINES = {"black", "bicubic 8x8", "WebP", "JPEG"}


def measured(column: dict) -> dict[str, float]:
    """Without figures that are undefined for these frames."""
    return {name: value for name, value in column.items() if value is not None}


@pytest.fixture
def evaluate(finished_run, data, tmp_path):
    """Run evaluate.py on the model of the finished run; later flags take precedence."""
    common = f"--model {finished_run / 'best'} --dataset {data} --output-dir {tmp_path / 'evaluation'}"
    return lambda flags="": run("evaluate.py", f"{common} {flags}")


def test_the_figures_are_those_of_the_card(evaluate, finished_run, tmp_path):
    ended = evaluate()
    assert ended.code == 0, ended.err
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    card = json.loads((finished_run / "best/metrics.json").read_text())
    assert set(figures) - BASELINES == {"best"}
    # float32 sums over batches of another size
    assert measured(figures["best"]) == pytest.approx(measured(card["this model"]), rel=1e-5)
    for name in BASELINES:
        assert measured(figures[name]) == pytest.approx(measured(card[name]), rel=1e-5)
    table = (finished_run / "best/README.md").read_text()
    for line in ended.out.splitlines():
        if line.startswith("| masked_mse"):
            assert line.split("|")[2].strip() in table
    assert Image.open(tmp_path / "evaluation/reconstructions.png").size[0] > 16


def test_the_same_batch_gives_the_same_bits(evaluate, finished_run, tmp_path):
    assert evaluate("--batch-size 8").code == 0
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())["best"]
    card = json.loads((finished_run / "best/metrics.json").read_text())["this model"]
    assert figures["num_codes_used"] == card["num_codes_used"] and figures["perplexity"] == card["perplexity"]


def test_some_frames_of_another_split(evaluate, tmp_path):
    assert evaluate("--split train --max-frames 6 --num-images 20 --batch-size 4").code == 0
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert {column["num_frames"] for column in figures.values()} == {6}


def test_the_error_of_black_is_the_brightness_of_the_smoke(evaluate, data, tmp_path):
    assert evaluate().code == 0
    frames = PackedFrames.load(data / "validation.safetensors")
    error = (frames.images.double() / 127.5).square().mean(dim=3)  # (x - (-1))^2
    mask = frames.alphas.double() / 255
    black = json.loads((tmp_path / "evaluation/metrics.json").read_text())["black"]
    assert black["masked_mse"] == pytest.approx(float((mask * error).sum() / mask.sum()), rel=1e-5)
    assert "perplexity" not in black


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--model /nowhere", "'/nowhere' does not exist"),
        ("--dataset /nowhere", "There is no dataset at /nowhere"),
        ("--split dev", "has no split 'dev'"),
        ("--batch-size 0", "batch_size expects 1 or more, found 0"),
        ("--max-frames -3", "max_frames expects 1 or more, found -3"),
        ("--metrics image beauty", "Unknown metric 'beauty': expected one of"),
        ("--labels a b", "Expected one label per model: 1 models, 2 labels"),
        ("--labels black", "The label 'black' is used already"),
        ("--metrics fid --inception-weights /nowhere", "Inception weights /nowhere do not exist"),
    ],
)
def test_invalid_arguments_are_refused_with_one_line(evaluate, tmp_path, flags, message):
    ended = evaluate(flags)
    assert ended.code == 2 and message in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "evaluation").exists()


def test_a_model_of_another_class_is_refused(evaluate, finished_run, tmp_path):
    folder = shutil.copytree(finished_run / "best", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_class_name": "AutoencoderKL"}))
    ended = evaluate(f"--model {folder}")
    assert ended.code == 2 and "AutoencoderKL" in ended.err


def test_a_model_without_processor_is_refused(evaluate, finished_run, tmp_path):
    folder = shutil.copytree(finished_run / "best", tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    ended = evaluate(f"--model {folder}")
    assert ended.code == 2 and "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_several_models_side_by_side(evaluate, finished_run, tmp_path):
    ended = evaluate(f"--models {finished_run / 'best'} {finished_run / 'last'} --per-sample")
    assert ended.code == 0, ended.err
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert set(figures) == {"best", "last"} | BASELINES
    assert figures["best"]["bytes_per_frame"] == 8 * 8 * 5 / 8
    assert figures["best"]["flicker"] is None, "the sequences of these frames are unknown"
    with open(tmp_path / "evaluation/per_sample.csv") as file:
        lines = [line for line in csv.DictReader(file) if line["model"] == "last"]
    assert [int(line["row"]) for line in lines] == list(range(10))
    mean = sum(float(line["mse"]) for line in lines) / 10
    assert mean == pytest.approx(figures["last"]["mse"], rel=1e-5)


def test_models_for_frames_of_different_sizes_are_refused(evaluate, finished_run, tmp_path):
    other = shutil.copytree(finished_run / "best", tmp_path / "other")
    settings = json.loads((other / "preprocessor_config.json").read_text()) | {"size": 32}
    (other / "preprocessor_config.json").write_text(json.dumps(settings))
    (other / "checksums.sha256").unlink()
    ended = evaluate(f"--models {finished_run / 'best'} {other}")
    assert ended.code == 2 and "takes 16x16" in ended.err and "32x32" in ended.err


def test_two_processes_measure_the_same_as_one(finished_run, tmp_path):
    """Nine frames of two sequences: the processes have different numbers of frames, and neighbours are split."""
    frames = smoke(9, seed=2)
    sequences = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1])
    PackedFrames(frames.images, frames.alphas, sequences=sequences).save(tmp_path / "validation.safetensors")
    flags = f"--model {finished_run / 'best'} --dataset {tmp_path} --per-sample --batch-size 2 --output-dir {tmp_path}"
    assert run("evaluate.py", f"{flags}/one").code == 0
    fork([ROOT / "scripts/evaluate.py", *f"{flags}/two".split()], processes=2)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert one.keys() == two.keys() and one["best"]["flicker"] > 0
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-5, abs=1e-9)
    one, two = (list(csv.reader((tmp_path / name / "per_sample.csv").open())) for name in ("one", "two"))
    assert [line[:2] for line in two] == [line[:2] for line in one] and len(one) == 1 + 9 * 5
