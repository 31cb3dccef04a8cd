"""Fixtures of forecasters.py, and a video."""

import pytest
from forecasters import make_pipeline, pipeline  # noqa: F401
from synthetic_clips import clip, write_video


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """The path of a video of 12 frames with smoke."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, clip(12)[0])
    return path
