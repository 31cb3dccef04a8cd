"""Measured rows, their figures and differences, alarms and reports."""

import json

import pytest
import torch

from smoke_vq.evaluation.forecasts.measure import measure
from smoke_vq.evaluation.forecasts.pictures import write_pictures
from smoke_vq.evaluation.forecasts.references import PERFECT, REPEAT, reference_rows
from smoke_vq.evaluation.forecasts.report import alarms, as_json, markdown
from smoke_vq.evaluation.forecasts.results import Results
from smoke_vq.evaluation.forecasts.row import Row
from smoke_vq.evaluation.forecasts.scores import FORECAST_SCORES, make_scores


def noisy(scale: float, num_members: int):
    """The truth with noise, which depends on the case."""

    def predict(case):
        truth = case.future_values[:1]
        generator = torch.Generator().manual_seed(len(case.past) + 100 * int(case.group))
        return truth + scale * torch.randn(num_members, *truth.shape[1:], generator=generator)

    return predict


@pytest.fixture
def results(cases):
    pytest.importorskip("cv2")
    scores = make_scores([name for name in FORECAST_SCORES if name != "lpips"])
    rows = [
        *reference_rows(cases, lambda frames: frames),
        Row("regression", noisy(0.2, 1), "regression"),
        Row("good", noisy(0.1, 4)),
        Row("bad", noisy(0.9, 4)),
    ]
    return Results(measure(rows, cases, scores, show_progress=False), scores, [c.group for c in cases], REPEAT, 50)


def test_figures_have_intervals_and_skill_is_relative_to_repeating(results):
    good, repeat = results.figures("good"), results.figures(REPEAT)
    assert good["psnr"].by_frame.shape == (4,) and good["psnr"].interval_by_frame.shape == (2, 4)
    assert good["psnr"].interval[0] <= good["psnr"].mean <= good["psnr"].interval[1]
    expected = 1 - good["crps"].by_frame / repeat["crps"].by_frame
    assert torch.allclose(good["crps_skill"].by_frame, expected) and repeat["crps_skill"].mean == 0


def test_differences_are_paired(results):
    difference = results.differences("good", REPEAT)["psnr"]
    assert difference.mean == pytest.approx(results.figures("good")["psnr"].mean - results.figures(REPEAT)["psnr"].mean)
    same = results.differences("good", "good")["crps"]
    assert same.interval == (0, 0)


def test_a_perfect_ensemble_is_compared_with_other_futures_than_its_members(results, cases):
    parts = results.rows[PERFECT].values["energy_distance"]["energy_distance"]
    flat = cases[0].future_values.flatten(2).transpose(0, 1)  # (T, M, N)
    distance = torch.cdist(flat.double(), flat.double())[0] / flat.shape[-1] ** 0.5
    expected = 2 * distance[1:3, 3:].mean() - distance[1, 2] - distance[3, 4]
    assert float(parts[0, 0]) == pytest.approx(float(expected), abs=1e-5)


def test_a_sampler_whose_mean_loses_to_its_regression_is_an_alarm(results):
    (sentence,) = alarms(results)
    assert sentence.startswith("ALARM: the mean of bad is") and "behind regression" in sentence


def test_the_report_has_all_rows_and_figures(results):
    text = markdown(results, "Forecasts of noise", [REPEAT, "regression"])
    assert "6 forecasts of 3 plumes" in text and "ALARM" in text and "minus regression" in text
    for name in results.rows:
        assert f"| {name} " in text
    content = json.loads(json.dumps(as_json(results, {"name": "noise"}, [REPEAT, "regression"]), allow_nan=False))
    assert content["test_set"]["num_groups"] == 3 and len(content["alarms"]) == 1
    good = content["rows"]["good"]
    assert len(good["figures"]["iou"]["by_frame"]) == 4 and len(good["rank_histogram"][0]) == 5
    assert good["differences"]["regression"]["psnr_mean"]["mean"] > 0
    assert content["rows"][REPEAT]["rank_histogram"] is None


def test_pictures_are_written(results, cases, tmp_path):
    pytest.importorskip("matplotlib")
    write_pictures(tmp_path, results, cases)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"by_horizon.png", "comparison.png", "rank_histograms.png", "spread_maps.png", "strip_good.png"} <= names


@pytest.mark.parametrize(
    ("predict", "sentence"),
    [
        (lambda case: case.future_values[0], r"shape \(4, 3, 12, 12\): expected \(samples, 4, 3, 12, 12\)"),
        (lambda case: case.future_values[:, :2], "expected"),
        (lambda case: case.future_values * torch.nan, "not finite"),
        (lambda case: case.future_values[: len(case.past)], "made 5 samples of .* and 3 of another"),
    ],
)
def test_a_forecast_of_another_shape_is_refused(cases, predict, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure([Row("wrong", predict)], cases, {}, show_progress=False)
