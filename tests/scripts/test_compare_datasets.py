"""scripts/compare_datasets.py on folders written by simulate_plumes.py."""

import json

import pytest
from PIL import Image
from training_runs import run


@pytest.fixture(scope="module")
def plumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plumes") / "tiny"
    flags = "--size 16 --dimensions 2 --frames-per-simulation 8 --num-frames 8 --validation-frames 16 --num-proc 1"
    ended = run("simulate_plumes.py", f"--output-dir {folder} --device cpu {flags}")
    assert ended.code == 0, ended.err
    return folder


def test_writes_statistics_and_a_picture(plumes, tmp_path):
    ended = run("compare_datasets.py", f"--datasets {plumes} --size 16 --num-images 3 --output-dir {tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    statistics = json.loads((tmp_path / "out/statistics.json").read_text())["tiny"]
    assert statistics["num_frames"] == 16 and 0 < statistics["coverage"] < 1
    assert "coverage" in ended.out and str(plumes) not in ended.out
    assert Image.open(tmp_path / "out/frames.png").height > 2 * 16


def test_a_dataset_without_alpha_is_refused(data, tmp_path):
    (tmp_path / "pictures/validation").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures/validation/a.png")
    ended = run("compare_datasets.py", f"--datasets {tmp_path / 'pictures'} --output-dir {tmp_path / 'out'}")
    assert ended.code == 2 and "expected alpha and sequence_id" in ended.err
