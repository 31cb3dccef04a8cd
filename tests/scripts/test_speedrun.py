"""scripts/speedrun.py: a real training on two processes, its clock, its judge and its record."""

import json
import runpy

import pytest
import yaml
from training_runs import MODEL, ROOT, Ended, run, smoke

from smoke_vq import SmokeVQVAE
from smoke_vq.training import VQVAEArguments, parse_arguments

TINY = {
    "batch_size": 4,
    "max_steps": 4,
    "warmup_steps": 1,
    "codebook_init_vectors": 512,
    "logging_steps": 1,
    "max_validation_samples": 4,
    "num_threads": 1,
    "model": MODEL,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speedrun")
    (folder / "data").mkdir()
    smoke(40).save(folder / "data/train.safetensors")
    smoke(10, seed=1).save(folder / "data/validation.safetensors")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return folder


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def speedrun(folder, flags: str) -> Ended:
    own = f"--config {folder / 'tiny.yaml'} --dataset {folder / 'data'} --output-dir {folder / 'out'}"
    return run("speedrun.py", f"{own} {flags}")


def test_a_record_of_a_training_on_two_processes(folder):
    ended = speedrun(folder, "--seeds 5 --num-processes 2")
    assert ended.code == 0, ended.err
    assert "The task is not met" in ended.out
    record = json.loads((folder / "out/record.json").read_text())
    own = record["seeds"]["5"]
    assert record["num_processes"] == 2 and not record["is_met"]
    assert record["at_most"] == {"masked_mse": 0.026} and record["bits"] == 640
    assert record["masked_mse"] == {"mean": own["masked_mse"], "std": 0.0}
    assert [line["step"] for line in own["validations"]] == [4]
    assert str(folder) not in json.dumps(record)
    training = json.loads((folder / "out/runs/seed_5/best/training.json").read_text())
    assert own["seconds"] > training["seconds"] > 0, "the start of the process counts"
    # The judge takes all ten frames, as the final evaluation of the training does.
    figures = json.loads((folder / "out/runs/seed_5/best/metrics.json").read_text())["this model"]
    assert figures["num_frames"] == 10
    assert own["masked_mse"] == pytest.approx(figures["masked_mse"], rel=1e-5)
    again = speedrun(folder, "--seeds 6 5")
    assert again.code == 2 and "seed_5 exists" in again.err
    assert not (folder / "out/runs/seed_6").exists(), "all folders are checked before the first training"


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--task sharpest", "Unknown task 'sharpest'"),
        ("--init-from nano", "starts from random weights"),
        ("--seed 3", "--seed is set by the speedrun itself"),
        ("--seeds 1 1", "Each seed is trained once"),
        ("--num-processes 0", "num_processes expects a whole number of 1 or more"),
    ],
)
def test_what_is_not_a_speedrun_is_refused(folder, flags, message):
    ended = speedrun(folder, flags)
    assert ended.code == 2 and message in ended.err, ended.err


def test_a_failed_training_ends_with_its_last_line(folder):
    ended = speedrun(folder, "--seeds 0 --batch-size 64")
    assert ended.code == 2 and "The training failed: error: " in ended.err and "fewer than one batch" in ended.err


def test_more_bits_than_the_task_allows_are_refused(folder, tmp_path):
    module = runpy.run_path(str(ROOT / "scripts/speedrun.py"))
    words = ["--config", str(folder / "tiny.yaml"), "--dataset", str(folder / "data")]
    judge = module["Judge"](parse_arguments(VQVAEArguments, words), module["TASKS"]["faithful"])
    SmokeVQVAE(**MODEL | {"num_vq_embeddings": 2048}).save_pretrained(tmp_path)  # 64 codes of 11 bits
    with pytest.raises(ValueError, match="take 704 bits: expected at most 640"):
        judge.figures(tmp_path)


def test_a_task_is_met_by_the_mean_of_three_seeds():
    module = runpy.run_path(str(ROOT / "scripts/speedrun.py"))
    task, is_met = module["TASKS"]["faithful"], module["task_is_met"]
    assert is_met(task, [{"masked_mse": value} for value in (0.024, 0.026, 0.028)])
    assert not is_met(task, [{"masked_mse": value} for value in (0.025, 0.026, 0.028)])
    assert not is_met(task, [{"masked_mse": 0.02}] * 2)
