"""The notebooks run from start to end, with tiny settings in the place of their own."""

import ast
from pathlib import Path

import pytest
from synthetic_clips import clip, write_video

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
PLUMES = "PLUMES, FRAMES, DIMENSIONS = 2, 12, 2\n"
FLAGS = "--batch-size 8 --warmup-steps 0 --continuous-steps 1 --codebook-init-vectors 2048 --num-threads 1"
SETTINGS = {
    "video_to_codes": 'VIDEO, MAX_FRAMES, CHANGED_TO = "video.mp4", 12, 700',
    "train_tiny": f'{PLUMES}STEPS, FLAGS = 3, "{FLAGS}"',
    "codes_for_generation": f"{PLUMES}STEPS, WIDTH, SAMPLES, FORECAST = 2, 16, 2, 4",
}


def names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent.parent))
    write_video(tmp_path / "video.mp4", clip(12)[0])
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    (settings,) = (cell for cell in notebook.cells if "settings" in cell.metadata.get("tags", []))
    assert names(settings.source) == names(SETTINGS[name])
    settings.source = SETTINGS[name]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any("error: " in output.get("text", "") for output in outputs), outputs
