import sys

import pytest

from smoke_vq.checks import check_installed
from smoke_vq.preparation.matting.video import read_video
from smoke_vq.preparation.rise.clip_frames import ClipSettings
from smoke_vq.preparation.rise.prepare import prepare_rise


def test_missing_packages_are_named_with_the_extra_that_brings_them():
    check_installed("This", "test", pytest="pytest")
    with pytest.raises(ValueError, match=r"^This needs A and B: pip install 'smoke-vq\[rise\]'\.$"):
        check_installed("This", "rise", no_such_module_a="A", no_such_module_b="B")


def test_preparation_names_its_packages_before_it_writes(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match="Cutting out smoke needs OpenCV"):
        prepare_rise({}, tmp_path / "data", ClipSettings())
    assert not (tmp_path / "data").exists()


def test_reading_a_video_names_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match="Reading a video needs PyAV"):
        read_video(tmp_path / "clip.mp4")
