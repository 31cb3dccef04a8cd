"""Folders of videos as sources of frames."""

import numpy as np
import pytest
from synthetic_clips import write_video

from smoke_vq.data.images import as_frame
from smoke_vq.data.sources import SOURCES, find_source, load_frames
from smoke_vq.preparation.matting.video import read_video


@pytest.fixture
def videos(tmp_path):
    """Two videos of 5 and 3 frames, 48x48."""
    (tmp_path / "videos").mkdir()
    ramp = np.linspace(20, 200, 48)[None, :, None] * np.linspace(0.5, 1, 48)[:, None, None] * np.array([1, 0.9, 0.8])
    for name, count in (("b.mp4", 3), ("a.mp4", 5)):
        frames = np.stack([ramp * (0.6 + 0.05 * time) for time in range(count)]).astype(np.uint8)
        write_video(tmp_path / "videos" / name, frames)
    return tmp_path / "videos"


def test_frames_are_those_of_the_videos_in_order(videos):
    assert find_source(str(videos)) is SOURCES["videos"]
    frames = load_frames(str(videos), "train", size=16, resize=True)
    assert frames.sequences.tolist() == [0] * 5 + [1] * 3
    expected = [as_frame(frame, 3, 16, True) for name in ("a.mp4", "b.mp4") for frame in read_video(videos / name)]
    assert np.array_equal(frames.images.numpy(), np.stack(expected))
    assert np.array_equal(load_frames(str(videos), size=48).images[:5].numpy(), read_video(videos / "a.mp4"))


def test_frames_are_taken_by_time(videos, dataset_folder):
    frames = load_frames(str(videos), size=48, fps=6)  # of 12
    expected = [frame for name in ("a.mp4", "b.mp4") for frame in read_video(videos / name, fps=6)]
    assert frames.sequences.tolist() == [0] * 3 + [1] * 2 and np.array_equal(frames.images.numpy(), np.stack(expected))
    with pytest.raises(ValueError, match="fps expects a finite number above 0, found 0"):
        load_frames(str(videos), size=48, fps=0)
    with pytest.raises(ValueError, match="has no frame rate: fps is for folders of videos"):
        load_frames([str(videos), str(dataset_folder)], size=48, fps=6)


def test_folders_of_videos_are_splits(videos, tmp_path):
    (tmp_path / "splits").mkdir()
    videos.rename(tmp_path / "splits/validation")
    assert len(load_frames(str(tmp_path / "splits"), "validation", size=16, resize=True)) == 8
    with pytest.raises(ValueError, match=r"has no split 'train': found \['validation'\]"):
        load_frames(str(tmp_path / "splits"), "train")


def test_frames_of_another_size_and_damaged_videos_are_refused(videos):
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be used: Expected frames of 16x16, found 48x48"):
        load_frames(str(videos), size=16)
    (videos / "b.mp4").write_bytes((videos / "b.mp4").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"b\.mp4 cannot be used: "):
        load_frames(str(videos), size=16, resize=True)
