"""The README's example runs unchanged."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["indices"].shape == (8, 8, 8) and Image.open(tmp_path / "plume.png").size[0] > 8 * 64 * 3
    black = np.square(names["frames"].astype(float)).mean()
    error = np.square(names["frames"].astype(float) - names["output"]).mean()
    assert error < 0.05 * black, "a trained model"
