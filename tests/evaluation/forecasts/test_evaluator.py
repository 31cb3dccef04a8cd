"""The evaluator of a forecaster's training, on one process and on two (gloo)."""

import importlib.util
from pathlib import Path

import pytest
import torch
from training_runs import fork

WORKER = Path(__file__).with_name("two_processes.py")


def test_two_processes_share_the_forecasts_and_have_the_figures_of_one(tmp_path):
    pytest.importorskip("cv2")
    fork([WORKER, tmp_path], processes=2)
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt") for rank in (0, 1))
    spec = importlib.util.spec_from_file_location("two_processes_of_forecasts", WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    alone = worker.evaluate(0, 1)
    assert alone["figures"]["validation"]["psnr"] > 0 and len(alone["figures"]["baselines"]) > 2
    assert first["figures"] == second["figures"] == alone["figures"]
    assert (first["calls"], second["calls"], alone["calls"]) == (3 * 4, 2 * 4, 5 * 4)
