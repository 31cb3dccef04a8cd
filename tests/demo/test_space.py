"""The Space: its app builds, and it installs what the demo needs."""

import runpy
from pathlib import Path

import pytest
import yaml

SPACE = Path(__file__).resolve().parents[2] / "spaces/demo"


def test_the_app_builds():
    gradio = pytest.importorskip("gradio")
    app = runpy.run_path(str(SPACE / "app.py"), run_name="app")
    assert isinstance(app["demo"], gradio.Blocks)


def test_the_requirements_are_those_of_the_library_and_of_the_demo():
    pytest.importorskip("setuptools")
    from distutils.core import run_setup

    setup = run_setup(str(SPACE.parents[1] / "setup.py"), stop_after="init")
    index, *names = (SPACE / "requirements.txt").read_text().splitlines()
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert names == [*setup.install_requires, *setup.extras_require["demo"]]


def test_the_metadata_name_the_app():
    metadata = yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])
    assert metadata["sdk"] == "gradio" and (SPACE / metadata["app_file"]).is_file()
    assert len(metadata["short_description"]) <= 60
