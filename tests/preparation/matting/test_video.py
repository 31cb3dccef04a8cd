import gc
import struct

import numpy as np
import pytest
from synthetic_clips import write_video

from smoke_vq.preparation.matting.video import iter_frames, list_videos, read_video, video_info


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


@pytest.mark.parametrize(("suffix", "share"), [(".mp4", 0.3), (".mp4", 0.95), (".avi", 0.3), (".avi", 0.8)])
def test_a_truncated_video_is_named(tmp_path, frames, suffix, share):
    path = tmp_path / f"clip{suffix}"
    write_video(path, np.concatenate([frames] * 4))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"clip\{suffix}"):
        read_video(path)


def test_a_file_that_is_not_a_video_is_named(tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"notes\.mp4"):
        read_video(tmp_path / "notes.mp4")
    with pytest.raises(FileNotFoundError, match=r"absent\.mp4"):
        read_video(tmp_path / "absent.mp4")


def test_without_options_frames_have_the_bits_of_pyav(tmp_path, frames):
    import av

    write_video(tmp_path / "clip.mp4", frames)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.array_equal(read_video(tmp_path / "clip.mp4"), expected)
    assert np.array_equal(read_video(tmp_path / "clip.mp4", size=48), expected), "the size that it has"
    assert np.array_equal(read_video(tmp_path / "clip.mp4", size=100), expected), "never enlarged"
    assert np.array_equal(read_video(tmp_path / "clip.mp4", max_frames=4), expected[:4])
    assert np.array_equal(np.stack(list(iter_frames(tmp_path / "clip.mp4"))), expected)


def test_frames_are_averaged_to_a_smaller_size_while_decoding(tmp_path):
    cv2 = pytest.importorskip("cv2")
    noise = np.random.default_rng(0).normal(0, 40, (3, 90, 160, 1))
    blocks = np.kron(noise, np.ones((1, 4, 4, 3))) + np.linspace(60, 180, 640)[None, None, :, None]
    write_video(tmp_path / "clip.mp4", np.clip(blocks, 0, 255).astype(np.uint8))
    whole, small = read_video(tmp_path / "clip.mp4"), read_video(tmp_path / "clip.mp4", size=120)
    assert small.shape == (3, 120, 213, 3)
    expected = np.stack([cv2.resize(frame, (213, 120), interpolation=cv2.INTER_AREA) for frame in whole])
    assert np.abs(small.astype(int) - expected).mean() < 1.5
    assert read_video(tmp_path / "clip.mp4", size=45).shape == (3, 45, 80, 3)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_are_turned_and_mirrored_as_the_file_says(tmp_path, frames, turns, mirrored):
    write_video(tmp_path / "plain.mp4", frames)
    write_video(tmp_path / "phone.mp4", frames, turn=dict(degrees=90 * turns, hflip=mirrored))
    expected = np.rot90(read_video(tmp_path / "plain.mp4"), turns, axes=(1, 2))
    expected = expected[:, :, ::-1] if mirrored else expected
    assert np.array_equal(read_video(tmp_path / "phone.mp4"), expected)
    info = video_info(tmp_path / "phone.mp4")
    assert (info.height, info.width) == expected.shape[1:3]
    assert read_video(tmp_path / "phone.mp4", size=24).shape == (10, *(side // 2 for side in expected.shape[1:3]), 3)


@pytest.mark.parametrize("turns", range(4))
def test_opencv_turns_a_video_in_the_same_direction(tmp_path, frames, turns):
    cv2 = pytest.importorskip("cv2")
    write_video(tmp_path / "phone.mp4", frames, turn=dict(degrees=90 * turns))
    shown = cv2.VideoCapture(str(tmp_path / "phone.mp4")).read()[1][..., ::-1]
    decoded = read_video(tmp_path / "phone.mp4")[0]
    assert decoded.shape == shown.shape and np.abs(decoded.astype(int) - shown).mean() < 3


def numbered(count):
    """Grey frames that tell their number by their brightness: 8 n + 8."""
    return np.stack([np.full((32, 48, 3), 8 * number + 8, np.uint8) for number in range(count)])


def numbers(path, **options):
    """The numbers of the frames that are read."""
    return np.rint(read_video(path, **options).mean((1, 2, 3)) / 8 - 1).astype(int).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
@pytest.mark.parametrize("rate", [12, 30])
def test_frames_are_left_out_or_repeated_for_another_frame_rate(tmp_path, suffix, rate):
    path = tmp_path / f"clip{suffix}"
    write_video(path, numbered(24), rate)
    assert numbers(path, fps=rate) == list(range(24)), "the rate that it has"
    assert numbers(path, fps=rate / 2) == list(range(0, 24, 2))
    assert numbers(path, fps=rate / 3) == list(range(0, 24, 3))
    assert numbers(path, fps=2 * rate) == sorted([*range(24), *range(24)])
    assert numbers(path, fps=2 * rate, max_frames=5) == [0, 0, 1, 1, 2]
    assert numbers(path, fps=0.001) == [0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_frame_rate_is_resampled_by_the_times_of_the_frames(tmp_path, suffix):
    times = [0, 100, 110, 120, 500, 540, 1000]
    write_video(tmp_path / f"clip{suffix}", numbered(len(times)), times=times)
    decoded = numbers(tmp_path / f"clip{suffix}", fps=10)
    assert decoded[:11] == [0, 1, 3, 3, 3, 4, 5, 5, 5, 5, 6]
    assert numbers(tmp_path / f"clip{suffix}") == list(range(len(times)))


def test_a_video_that_was_trimmed_without_encoding_is_not_truncated(tmp_path):
    write_video(tmp_path / "clip.mp4", numbered(24))
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    place = content.find(b"elst") + 12  # of the duration in milliseconds, in the edit list
    content[place : place + 4] = struct.pack(">I", 1000)
    (tmp_path / "clip.mp4").write_bytes(content)
    assert numbers(tmp_path / "clip.mp4") == list(range(12))
    assert video_info(tmp_path / "clip.mp4").duration == 1


def test_the_information_of_a_video(tmp_path):
    write_video(tmp_path / "clip.mp4", numbered(24))
    info = video_info(tmp_path / "clip.mp4")
    assert (info.width, info.height, info.fps, info.num_frames, info.duration) == (48, 32, 12, 24, 2)
    write_video(tmp_path / "clip.mkv", numbered(24))
    info = video_info(tmp_path / "clip.mkv")
    assert info.num_frames is None and info.duration == pytest.approx(2, abs=0.01)
    with pytest.raises(FileNotFoundError, match=r"absent\.mp4"):
        video_info(tmp_path / "absent.mp4")


def test_frames_are_decoded_one_at_a_time_and_released(tmp_path):
    import av

    write_video(tmp_path / "clip.mp4", numbered(24), turn=dict(degrees=90))
    gc.collect()
    gc.disable()
    try:
        frames = iter_frames(tmp_path / "clip.mp4")
        held = [sum(isinstance(kept, av.VideoFrame) for kept in gc.get_objects()) for _ in frames]
    finally:
        gc.enable()
    assert len(held) == 24 and max(held) < 8


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1.5}, {"fps": 0}, {"fps": float("nan")}, {"max_frames": 0}])
def test_invalid_arguments_are_refused_before_decoding(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} expects"):
        iter_frames(tmp_path / "absent.mp4", **wrong)
    with pytest.raises(FileNotFoundError, match=r"absent\.mp4"):
        iter_frames(tmp_path / "absent.mp4")


def test_list_videos_sorts_and_refuses_folders_without_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no videos"):
        list_videos(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list_videos(tmp_path / "absent")
    for name in ("b.MP4", "a.avi", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_videos(tmp_path)] == ["a.avi", "b.MP4"]
