"""scripts/benchmark.py, as from the command line: its folder scripts/benchmarks/ is found from there."""

import importlib
import importlib.util
import json
import math
import pickle

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from training_runs import MODEL, ROOT, fork, reset_accelerate

from smoke_vq import SmokeVQVAE


@pytest.fixture
def benchmarks(monkeypatch):
    """A function from the name of a file in scripts/benchmarks/ to its module; nothing is reported yet."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(importlib.import_module("benchmarks.timing"), "RESULTS", [])
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_the_chosen_parts_are_measured_and_written_to_a_file(tmp_path):
    flags = ["--part", "quantizers", "data", "--rounds", "1", "--json", tmp_path / "speed.json"]
    ended = fork(["scripts/benchmark.py", *flags])
    for line in ("median of 1 rounds", "bare matrix product", "packed loader"):
        assert line in ended.out
    assert "Training step" not in ended.out
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["parts"] == ["quantizers", "data"] and content["rounds"] == 1 and len(content["commit"]) == 40
    assert content["results"][0]["seconds"]["bare matrix product"] > 0


def test_growth_is_drawn_only_if_it_is_measured(tmp_path):
    ended = fork(["scripts/benchmark.py", "--part", "data", "--plot", tmp_path / "growth.png"], check=False)
    assert ended.code == 2 and "--plot draws the part growth" in ended.err


def test_median_and_spread_are_those_of_the_rounds(benchmarks, capsys):
    timing = benchmarks("timing")
    clock = iter([0, 0, 0, 1, 0, 3, 0, 2, 0, 2, 0, 1, 0, 5, 0, 1, 0, 4])  # the first round, which warms up, has no end
    seconds = timing.interleaved({"ideal": int, "ours": int}, "cpu", 4, lambda: next(clock))
    assert seconds == {"ideal": 1, "ours": 3.5} and pickle.loads(pickle.dumps(seconds["ours"])).values == (3, 2, 5, 4)
    timing.report("A comparison", seconds, "ideal")
    (result,) = json.loads(json.dumps(timing.RESULTS))  # ratios 3, 1, 5, 4
    assert result["seconds"] == seconds and result["rounds"]["ours"] == [3, 2, 5, 4]
    assert result["ratios"]["ours"] == 3.5 and result["ratio_quartiles"] == {"ideal": [1, 1], "ours": [2.5, 4.25]}
    assert "3.50 x (2.50 to 4.25)" in capsys.readouterr().out


def test_an_unknown_part_is_refused():
    ended = fork(["scripts/benchmark.py", "--part", "quantiser"], check=False)
    assert ended.code == 2 and "invalid choice: 'quantiser'" in ended.err


def test_growth_is_measured_and_drawn(benchmarks, monkeypatch, tmp_path, capsys):
    growth, plot, timing = (benchmarks(name) for name in ("growth", "plot", "timing"))
    sizes = {"SIZES": (16, 32), "CODES": (8, 64), "FRAMES": (1_000, 10_000)}
    for name, values in sizes.items():
        monkeypatch.setattr(growth, name, values)
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


def test_time_memory_and_wrong_codes_of_the_quantizer(benchmarks, monkeypatch, capsys):
    quantizer = benchmarks("quantizer")
    results = []
    monkeypatch.setattr(quantizer, "RESULTS", results)
    monkeypatch.setattr(quantizer, "SIZES", ((2_048, 16, 4_096), (65_536, 8, 128)))
    quantizer.quantizer("cpu", 1)
    for result, product in zip(results, (2_048 * 4_096 * 4, 65_536 * 128 * 4), strict=True):
        memory = result["peak_bytes"]
        assert memory["bare matrix product"] == pytest.approx(product, rel=0.2)
        assert memory["cdist + argmin"] > 0.8 * product and 0 < memory["smoke_vq search"] < 1.5 * product
        assert all(counts["smoke_vq"] == 0 for counts in result["wrong_codes"].values())
    assert results[0]["wrong_codes"]["new codebook"]["cdist + argmin"] > 0
    assert "wrong codes, new codebook, smoke_vq: 0" in capsys.readouterr().out


def test_a_wrong_code_is_counted_but_not_one_of_two_that_are_as_near(benchmarks):
    codebook = torch.tensor([[0.0], [1.0], [1.0]])
    indices = {"right": torch.tensor([0, 2]), "wrong": torch.tensor([1, 0])}
    counts = benchmarks("quantizer").wrong_codes(torch.tensor([[0.1], [0.9]]), codebook, indices)
    assert counts == {"right": 0, "wrong": 2}


def test_a_training_step_beside_those_of_other_models(benchmarks, capsys):
    training, timing = benchmarks("training"), benchmarks("timing")
    reset_accelerate()
    training.measure("cpu", 1, "smallest", MODEL | {"sample_size": 64}, 2)
    reset_accelerate()
    assert [result["title"].split(",")[0] for result in timing.RESULTS] == [
        "Training step in float32",
        "Training step in bf16",
    ]
    for result in timing.RESULTS:
        assert {"matrix products", "smoke_vq", "encoder and decoder alone", "VQModel"} <= set(result["seconds"])
    is_installed = importlib.util.find_spec("vector_quantize_pytorch") is not None
    assert ("with vector-quantize-pytorch" in timing.RESULTS[0]["seconds"]) is is_installed
    assert ("vector-quantize-pytorch is not installed" in capsys.readouterr().out) is not is_installed


def test_the_step_in_float32_does_not_use_bf16(benchmarks):
    training = benchmarks("training")
    reset_accelerate()
    accelerator = Accelerator(mixed_precision="bf16")
    seen = {}
    for precision in training.PRECISIONS:
        objective = training.make_objective(accelerator, SmokeVQVAE(**MODEL), precision)
        objective.player.network.encoder.register_forward_hook(
            lambda module, inputs, output, precision=precision: seen.update({precision: output.dtype})
        )
        data = {"pixel_values": torch.zeros(2, 3, 16, 16), "mask": torch.ones(2, 1, 16, 16)}
        before = [parameter.clone() for parameter in objective.player.parameters]
        for _ in range(2):  # the learning rate of the first step is 0
            training.objective_step(objective, data)
        assert not all(map(torch.equal, before, objective.player.parameters))
    reset_accelerate()
    assert seen == {"float32": torch.float32, "bf16": torch.bfloat16}


def test_the_start_of_a_process_is_timed_until_it_ends_or_writes_a_file(benchmarks, tmp_path):
    startup = benchmarks("startup")
    used, elapsed = startup.seconds_until(["-c", "sum(range(3_000_000))"])
    assert 0 < used <= elapsed + 0.1
    file = tmp_path / "written"
    words = ["-c", f"import pathlib, time; pathlib.Path({str(file)!r}).touch(); time.sleep(600)"]
    used, elapsed = startup.seconds_until(words, file)
    assert 0 < used <= elapsed + 0.1 and elapsed < 60
    for words in (["-c", "import missing_module"], ["-c", "pass"]):
        with pytest.raises(RuntimeError, match="missing_module" if "missing" in words[1] else "pass: "):
            startup.seconds_until(words, None if "missing" in words[1] else tmp_path / "never")


def test_the_start_of_a_training_is_measured(benchmarks, monkeypatch):
    startup, timing = benchmarks("startup"), benchmarks("timing")
    monkeypatch.setattr(startup, "IMPORTS", {"import torch": "import json"})
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(startup, "STAGES", {"torch": "sum(range(10**6))", "more": "sum(range(3 * 10**6))"})
    startup.startup("cpu", 1)
    for result in timing.RESULTS[:2]:
        assert result["ratios"][startup.TRAINING] > 1
    assert timing.RESULTS[2]["ratios"]["more"] > 1
    assert [result["title"] for result in timing.RESULTS] == [
        "Start of a process, CPU time, cpu",
        "Start of a process, by the clock, cpu",
        "CPU time of imports",
    ]


def test_preparation_is_measured_on_a_clip_with_smoke(benchmarks, monkeypatch):
    preparation, timing = benchmarks("preparation"), benchmarks("timing")
    monkeypatch.setattr(preparation, "NUM_FRAMES", 16)
    preparation.preparation("cpu", 1)
    (result,) = timing.RESULTS
    assert set(result["seconds"]) == {
        "decoding",
        "six box filters, as of the matte",
        "cut-out of decoded frames",
        "prepare: decoding to a file",
    }
    assert "16 frames of 180 pixels" in result["title"] and " 0 of them" not in result["title"]
