"""The README's examples run unchanged."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

README = Path(__file__).resolve().parent.parent / "README.md"


def run_example(number: int) -> dict:
    """The names that an example defines, run in the current folder."""
    examples, names = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL), {}
    assert len(examples) == 2
    exec(compile(examples[number], "README.md", "exec"), names)
    return names


def test_the_reconstruction_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example(0)
    assert names["indices"].shape == (8, 8, 8) and Image.open(tmp_path / "plume.png").size[0] > 8 * 64 * 3
    black = np.square(names["frames"].astype(float)).mean()
    error = np.square(names["frames"].astype(float) - names["output"]).mean()
    assert error < 0.05 * black, "a trained model"


def test_the_forecast_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_example(1)
    assert names["samples"].shape == (6, 16, 64, 64, 3) and Image.open(tmp_path / "forecast.png").size[0] > 8 * 64 * 2
    mean, truth, last = names["samples"].mean(axis=0), names["truth"].astype(float), names["observed"][-1]
    assert np.square(mean - truth).mean() < 0.5 * np.square(last - truth).mean(), "better than repeating the last frame"
