"""scripts/evaluate_forecast.py on small two-dimensional plumes and blobs."""

import json

import numpy as np
import pytest
import torch
from forecasters import make_pipeline  # noqa: F401
from training_runs import run, smoke

from smoke_vq.data.frames import PackedFrames
from smoke_vq.preparation.futures.plan import FuturesPlan
from smoke_vq.preparation.futures.prepare import prepare_futures
from smoke_vq.simulation import PlumeSettings

pytest.importorskip("cv2")
pytest.importorskip("matplotlib")

SCORES = "--scores psnr ssim iou mass front centre crps spread_skill rank_histogram energy_distance spread_ratio"
PICTURES = {"by_horizon.png", "comparison.png", "rank_histograms.png", "spread_maps.png", "strip_perfect_ensemble.png"}


@pytest.fixture(scope="module")
def futures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("test_set") / "futures"
    prepare_futures(FuturesPlan(PlumeSettings(64, dimensions=2), 2, (4, 6), 4, 3), folder)
    return folder


def call(dataset, output, flags=""):
    return run("evaluate_forecast.py", f"--dataset {dataset} --num-draws 20 --output-dir {output} {SCORES} {flags}")


def test_a_folder_of_futures_and_predictions_of_somebody_else(futures, tmp_path):
    ended = run("evaluate_forecast.py", f"--dataset {futures} --write-observed {tmp_path / 'observed.npz'}")
    assert ended.code == 0 and "observed frames of 4 forecasts of 3 frames" in ended.out
    with np.load(tmp_path / "observed.npz") as observed:
        past = np.split(observed["frames"], observed["num_observed"].cumsum()[:-1])
    prediction = np.stack([np.stack([[film[-1]] * 3, [film[-2]] * 3]) for film in past])
    np.savez(tmp_path / "ours.npz", prediction=prediction)

    ended = call(futures, tmp_path / "out", f"--predictions {tmp_path / 'ours.npz'}")
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    names = ["perfect ensemble", "perfect ensemble, through codes", "truth, through codes"]
    names += ["repeat the last frame", "mean of the past", "optical flow"]
    assert list(found["rows"]) == [*names, str(tmp_path / "ours.npz")]
    assert found["test_set"]["num_forecasts"] == 4 and found["test_set"]["num_groups"] == 2
    ours, perfect = found["rows"][str(tmp_path / "ours.npz")], found["rows"]["perfect ensemble"]
    assert ours["num_members"] == 2 and perfect["num_members"] == 3
    assert perfect["figures"]["crps"]["mean"] < ours["figures"]["crps"]["mean"]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"metrics.json", "table.md", *PICTURES}
    assert "| optical flow " in ended.out and "| minus optical flow" in (tmp_path / "out" / "table.md").read_text()


def test_a_dataset_of_sequences_has_no_perfect_rows(tmp_path):
    blobs = smoke(40, size=32)
    frames = PackedFrames(blobs.images, sequences=torch.arange(4).repeat_interleave(10))
    (tmp_path / "clips").mkdir()
    frames.save(tmp_path / "clips" / "validation.safetensors")
    frames.save(tmp_path / "clips" / "train.safetensors")
    ended = call(tmp_path / "clips", tmp_path / "out", "--size 32 --num-frames 5 --autoencoder none")
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(found["rows"]) == ["repeat the last frame", "mean of the past", "optical flow"]
    assert found["test_set"]["num_forecasts"] == 4
    assert not (tmp_path / "out" / "rank_histograms.png").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--predictions none.npz", "There are no predictions at none.npz"),
        ("--num-inference-steps 4 0", "num_inference_steps expects 1 or more, found 0"),
        ("--num-samples 0", "num_samples expects 1 or more, found 0"),
        ("--scores psrn", "Unknown score 'psrn'"),
        ("--autoencoder none --train-dataset simulated:tiny", "expected an --autoencoder other than 'none'"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(futures, tmp_path, flags, sentence):
    ended = call(futures, tmp_path / "out", flags)
    assert ended.code == 2 and sentence in ended.err and not (tmp_path / "out").exists()
    assert len(ended.err.strip().splitlines()) == 1


@pytest.fixture
def small_futures(tmp_path):
    prepare_futures(FuturesPlan(PlumeSettings(16, dimensions=2), 2, (5,), 3, 3), tmp_path / "small")
    return tmp_path / "small"


def test_forecasters_by_evaluations_and_their_regression(small_futures, tmp_path, make_pipeline):  # noqa: F811
    make_pipeline().save_pretrained(tmp_path / "flow")
    make_pipeline(coupling="regression", prediction_type="frame").save_pretrained(tmp_path / "regression")
    flags = f"--model {tmp_path / 'flow'} --regression {tmp_path / 'regression'} --num-samples 3"
    for output in ("out", "again"):
        ended = call(
            small_futures, tmp_path / output, f"{flags} --num-inference-steps 1 2 --train-dataset simulated:tiny"
        )
        assert ended.code == 2 and "Expected frames of 16x16" in ended.err
        ended = call(small_futures, tmp_path / output, f"{flags} --num-inference-steps 1 2")
        assert ended.code == 0, ended.err
    first, second = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("out", "again"))
    rows = first["rows"]
    assert list(rows)[-3:] == ["regression", "forecaster, 1 evaluation", "forecaster, 2 evaluations"]
    assert rows["regression"]["num_members"] == 1 and rows["forecaster, 2 evaluations"]["num_members"] == 3
    assert rows["forecaster, 2 evaluations"]["differences"]["regression"]["psnr_mean"]["interval"]
    assert rows["regression"]["seconds_per_frame"] > 0
    figures = [one["rows"]["forecaster, 2 evaluations"]["figures"] for one in (first, second)]
    assert figures[0] == figures[1], "the same noise"


def test_nearest_neighbours_in_a_training_set(small_futures, tmp_path, tiny_model):
    frames = PackedFrames(smoke(40, size=16).images, sequences=torch.arange(4).repeat_interleave(10))
    (tmp_path / "clips").mkdir()
    frames.save(tmp_path / "clips" / "train.safetensors")
    tiny_model.save_pretrained(tmp_path / "autoencoder")
    flags = f"--autoencoder {tmp_path / 'autoencoder'} --train-dataset {tmp_path / 'clips'} --num-samples 2"
    ended = call(small_futures, tmp_path / "out", flags)
    assert ended.code == 0, ended.err
    row = json.loads((tmp_path / "out" / "metrics.json").read_text())["rows"]["nearest neighbours"]
    assert row["kind"] == "reference" and row["num_members"] == 2 and row["figures"]["spread_skill"]["mean"] > 0


def test_a_sampler_is_not_a_regression(small_futures, tmp_path, make_pipeline):  # noqa: F811
    make_pipeline().save_pretrained(tmp_path / "flow")
    ended = call(small_futures, tmp_path / "out", f"--regression {tmp_path / 'flow'}")
    assert ended.code == 2 and "flow is not a regression: pass it with --model" in ended.err


def test_an_autoencoder_of_another_size_is_refused(small_futures, tmp_path):
    ended = call(small_futures, tmp_path / "out")
    assert ended.code == 2 and "are 16x16, those of the autoencoder 64x64" in ended.err
