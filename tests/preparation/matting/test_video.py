import numpy as np
import pytest
from synthetic_clips import write_video

from smoke_vq.preparation.matting.video import list_videos, read_video


@pytest.fixture
def frames():
    ramp = np.linspace(40, 200, 64)[None, :, None] * np.linspace(0.6, 1, 48)[:, None, None] * np.array([1, 0.8, 0.6])
    return np.stack([ramp * (0.7 + 0.03 * t) for t in range(10)]).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_frames_come_back_in_order_as_rgb(tmp_path, frames, suffix):
    write_video(tmp_path / f"clip{suffix}", frames)
    decoded = read_video(tmp_path / f"clip{suffix}")
    assert decoded.shape == frames.shape and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - frames.astype(int)).mean() < 4


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_truncated_video_is_named(tmp_path, frames, share):
    path = tmp_path / "clip.mp4"
    write_video(path, frames)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"clip\.mp4"):
        read_video(path)


def test_a_file_that_is_not_a_video_is_named(tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"notes\.mp4"):
        read_video(tmp_path / "notes.mp4")
    with pytest.raises(FileNotFoundError, match=r"absent\.mp4"):
        read_video(tmp_path / "absent.mp4")


def test_list_videos_sorts_and_refuses_folders_without_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no videos"):
        list_videos(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list_videos(tmp_path / "absent")
    for name in ("b.MP4", "a.avi", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_videos(tmp_path)] == ["a.avi", "b.MP4"]
