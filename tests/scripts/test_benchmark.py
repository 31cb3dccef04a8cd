"""scripts/benchmark.py, as from the command line: its folder scripts/benchmarks/ is found from there."""

import importlib
import json
import math
import pickle

import pytest
from PIL import Image
from training_runs import ROOT, fork


def test_the_chosen_parts_are_measured():
    ended = fork(["scripts/benchmark.py", "--part", "quantizer", "data", "--rounds", "1"])
    for line in ("median of 1 rounds", "bare matrix product", "packed loader"):
        assert line in ended.out
    assert "Training step" not in ended.out


def test_median_and_spread_are_those_of_the_rounds(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    timing = importlib.import_module("benchmarks.timing")
    monkeypatch.setattr(timing, "RESULTS", [])
    clock = iter([0, 0, 0, 1, 0, 3, 0, 2, 0, 2, 0, 1, 0, 5, 0, 1, 0, 4])  # the first round, which warms up, has no end
    seconds = timing.interleaved({"ideal": int, "ours": int}, "cpu", 4, lambda: next(clock))
    assert seconds == {"ideal": 1, "ours": 3.5} and pickle.loads(pickle.dumps(seconds["ours"])).values == (3, 2, 5, 4)
    timing.report("A comparison", seconds, "ideal")
    (result,) = json.loads(json.dumps(timing.RESULTS))  # ratios 3, 1, 5, 4
    assert result["seconds"] == seconds and result["rounds"]["ours"] == [3, 2, 5, 4]
    assert result["ratio_quartiles"] == {"ideal": [1, 1], "ours": [2.5, 4.25]}
    assert "3.50 x (2.50 to 4.25)" in capsys.readouterr().out


def test_an_unknown_part_is_refused():
    ended = fork(["scripts/benchmark.py", "--part", "quantiser"], check=False)
    assert ended.code == 2 and "invalid choice: 'quantiser'" in ended.err


def test_growth_is_measured_and_drawn(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    growth, plot, timing = (importlib.import_module(f"benchmarks.{name}") for name in ("growth", "plot", "timing"))
    sizes = {"SIZES": (16, 32), "CODES": (8, 64), "FRAMES": (1_000, 10_000)}
    for name, values in sizes.items():
        monkeypatch.setattr(growth, name, values)
    monkeypatch.setattr(timing, "RESULTS", [])
    monkeypatch.setattr(growth, "processes", lambda rounds: None)
    growth.growth("cpu", 1)
    results = timing.RESULTS
    assert [result["axis"] for result in results] == ["frames"] * 5 + ["pixels", "codes"]
    for result in results:
        (few, many), (short, long) = result["sizes"], result["seconds"]
        assert result["exponent"] == pytest.approx(math.log(long / short) / math.log(many / few))
    assert "bytes a frame at 10,000 frames" in capsys.readouterr().out
    plot.draw_growth(results, tmp_path / "growth.png")
    with Image.open(tmp_path / "growth.png") as picture:
        assert picture.width > 900


def test_everything_is_written_to_a_file(tmp_path):
    fork(["scripts/benchmark.py", "--part", "quantizer", "--rounds", "1", "--json", tmp_path / "speed.json"])
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["parts"] == ["quantizer"] and content["rounds"] == 1 and len(content["commit"]) == 40
    assert content["results"][0]["seconds"]["bare matrix product"] > 0
    ended = fork(["scripts/benchmark.py", "--part", "data", "--plot", tmp_path / "growth.png"], check=False)
    assert ended.code == 2 and "--plot draws the part growth" in ended.err
