"""A forecast score outside the library: one file, and one line in the table, which is patched here."""

import json

import pytest
import torch
from training_runs import run

from smoke_vq.evaluation.forecasts.scores import FORECAST_SCORES, Forecast, ForecastScore, forecast_figure
from smoke_vq.metrics import Figure
from smoke_vq.preparation.futures.plan import FuturesPlan
from smoke_vq.preparation.futures.prepare import prepare_futures
from smoke_vq.simulation import PlumeSettings


class Darkness(ForecastScore):
    """Share of the members that are darker than the truth."""

    figures = (Figure("darker", "darker", 0.5, ".2f", meaning="share of the members that are darker than the truth"),)

    def measure(self, forecast: Forecast) -> dict[str, torch.Tensor]:
        mass, true_mass = forecast.light.mean(dim=(2, 3)), forecast.true_light.mean(dim=(1, 2))
        return {"darker": (mass < true_mass).float().mean(dim=0)}


def test_a_score_from_outside_the_library_is_measured_and_printed(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(FORECAST_SCORES, "darkness", Darkness)
    prepare_futures(FuturesPlan(PlumeSettings(16, dimensions=2), 1, (3,), 3, 2), tmp_path / "set")
    flags = f"--dataset {tmp_path / 'set'} --scores psnr darkness crps --autoencoder none --num-draws 5"
    ended = run("evaluate_forecast.py", f"{flags} --output-dir {tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())["rows"]
    assert len(rows["repeat the last frame"]["figures"]["darker"]["by_frame"]) == 2
    assert "## darker" in (tmp_path / "out" / "table.md").read_text()
    assert forecast_figure("darker").phrase(0.5) == "darker 0.50"
