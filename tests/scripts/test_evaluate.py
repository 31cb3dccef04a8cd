"""scripts/evaluate.py: a model and a split in, the figures of its card out."""

import json
import shutil

import pytest
from PIL import Image
from training_runs import run

BASELINES = {"black", "bicubic 8x8"}


@pytest.fixture
def evaluate(finished_run, data, tmp_path):
    """Run evaluate.py on the model of the unbroken run; more flags win."""
    common = f"--model {finished_run / 'best'} --dataset {data} --output-dir {tmp_path / 'evaluation'}"
    return lambda flags="": run("evaluate.py", f"{common} {flags}")


def test_the_figures_are_those_of_the_card(evaluate, finished_run, tmp_path):
    ended = evaluate()
    assert ended.code == 0, ended.err
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    card = json.loads((finished_run / "best/metrics.json").read_text())
    assert set(figures) - BASELINES == {str(finished_run / "best")}
    # float32 sums over batches of another size
    assert figures[str(finished_run / "best")] == pytest.approx(card["this model"], rel=1e-5)
    for name in BASELINES:
        assert figures[name] == pytest.approx(card[name], rel=1e-5)
    table = (finished_run / "best/README.md").read_text()
    for line in ended.out.splitlines():
        if line.startswith("| masked_mse"):
            assert line.split("|")[2].strip() in table
    assert Image.open(tmp_path / "evaluation/reconstructions.png").size[0] > 16


def test_the_same_batch_gives_the_same_bits(evaluate, finished_run, tmp_path):
    assert evaluate("--batch-size 8").code == 0
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())[str(finished_run / "best")]
    card = json.loads((finished_run / "best/metrics.json").read_text())["this model"]
    assert figures["num_codes_used"] == card["num_codes_used"] and figures["perplexity"] == card["perplexity"]


def test_a_part_of_another_split(evaluate, tmp_path):
    assert evaluate("--split train --max-frames 6 --num-images 20 --batch-size 4").code == 0
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert {column["num_frames"] for column in figures.values()} == {6}


def test_black_is_as_wrong_as_the_smoke_is_bright(evaluate, data, tmp_path):
    from smoke_vq.data.frames import PackedFrames

    assert evaluate().code == 0
    frames = PackedFrames.load(data / "validation.safetensors")
    error = (frames.images.double() / 127.5).square().mean(dim=3)  # (x - (-1))^2
    mask = frames.alphas.double() / 255
    black = json.loads((tmp_path / "evaluation/metrics.json").read_text())["black"]
    assert black["masked_mse"] == pytest.approx(float((mask * error).sum() / mask.sum()), rel=1e-5)
    assert "perplexity" not in black


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--model /nowhere", "There is no folder '/nowhere'"),
        ("--dataset /nowhere", "There is no dataset at /nowhere"),
        ("--split dev", "has no split 'dev'"),
        ("--batch-size 0", "batch_size expects 1 or more, found 0"),
        ("--max-frames -3", "max_frames expects 1 or more, found -3"),
    ],
)
def test_mistakes_end_in_one_sentence(evaluate, tmp_path, flags, said):
    ended = evaluate(flags)
    assert ended.code == 2 and said in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "evaluation").exists()


def test_a_model_of_another_class(evaluate, finished_run, tmp_path):
    folder = shutil.copytree(finished_run / "best", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_class_name": "AutoencoderKL"}))
    ended = evaluate(f"--model {folder}")
    assert ended.code == 2 and "AutoencoderKL" in ended.err


def test_a_model_that_lacks_its_processor(evaluate, finished_run, tmp_path):
    folder = shutil.copytree(finished_run / "best", tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    ended = evaluate(f"--model {folder}")
    assert ended.code == 2 and "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1
