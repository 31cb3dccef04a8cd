import numpy as np
import pytest
from synthetic_clips import clip as synthetic_clip
from synthetic_clips import write_video

from smoke_vq.preparation.matting.cut_out import cut_out
from smoke_vq.preparation.matting.video import read_video
from smoke_vq.preparation.rise.clip_frames import ClipSettings, cut_out_video, load_clip_frames, load_clip_list
from smoke_vq.preparation.rise.clips import Clip


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 5000},
        {"matting": "keying"},
        {"gain": 0.0},
        {"min_coverage": 0.5, "max_coverage": 0},
        {"fps": 0.0},
        {"max_frames": 0},
        {"clip_frames": 15},
    ],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[-1]):
        ClipSettings(**wrong)


def cut(clip, tmp_path, **settings):
    """The results of a video by clip id."""
    tmp_path.mkdir(exist_ok=True)
    list_file = tmp_path / "result.json"
    list_file.write_bytes(cut_out_video(clip, ClipSettings(size=32, **settings), tmp_path / "result"))
    return {clip_id: load_clip_frames(path) for clip_id, path in load_clip_list(list_file).items()}


def puffs(count, **options):
    """The middle of a synthetic clip, (T, 100, 100, 3) uint8."""
    return synthetic_clip(count, **options)[0][:, 40:140, 40:140]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """38 frames of puffs, 100x100."""
    path = tmp_path_factory.mktemp("videos") / "plume.mp4"
    write_video(path, puffs(38))
    return path


def test_an_unreadable_clip_is_dropped_with_its_reason(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video")
    (result,) = cut(Clip("a", tmp_path / "a.mp4"), tmp_path).values()
    assert result["reason"] == "unreadable" and "a.mp4" in result["detail"]
    assert result["sheet"].shape == (1, 1, 32, 32, 3), "a black tile of the contact sheet"


def test_a_short_video_is_one_clip_and_has_the_bits_of_its_cut_out(video, tmp_path):
    result = cut(Clip("plume", video), tmp_path, max_frames=16)
    assert list(result) == ["plume"]
    expected = cut_out(read_video(video)[:16], 32)
    kept = result["plume"]["frame_index"]
    assert len(kept) >= 8 and kept.max() < 16
    assert np.array_equal(result["plume"]["image"], expected.image[kept])
    assert np.array_equal(result["plume"]["alpha"], expected.alpha[kept])


def test_a_long_video_is_divided_into_clips_each_with_its_own_background(video, tmp_path):
    result = cut(Clip("plume", video), tmp_path, clip_frames=16, keep_all=True)
    assert list(result) == ["plume-000000", "plume-000016", "plume-000027"], "16, 11 and 11 frames"
    for first, stop, clip in zip((0, 16, 27), (16, 27, 38), result.values(), strict=True):
        kept = clip["frame_index"]
        assert kept.min() >= first and kept.max() < stop
        assert np.array_equal(clip["image"], cut_out(read_video(video)[first:stop], 32).image[kept - first])


def test_clips_that_are_finished_are_not_cut_out_again(video, tmp_path):
    first = cut(Clip("plume", video), tmp_path, clip_frames=16, keep_all=True)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    next(iter(times)).unlink()
    again = cut(Clip("plume", video), tmp_path, clip_frames=16, keep_all=True)
    assert sum(path.stat().st_mtime_ns == time for path, time in times.items()) == 2
    assert all(np.array_equal(again[name]["image"], first[name]["image"]) for name in first)


def test_a_part_of_a_video_keeps_the_numbers_of_its_frames(video, tmp_path):
    result = cut(Clip("plume", video, frames=(20, None)), tmp_path, keep_all=True)
    assert list(result) == ["plume-000020"]
    assert result["plume-000020"]["frame_index"].min() >= 20
    result = cut(Clip("plume", video, frames=(2, 14)), tmp_path, fps=6, keep_all=True)  # of 12 per second
    assert result["plume-000002"]["frame_index"].min() >= 2 and result["plume-000002"]["frame_index"].max() < 14
    assert np.array_equal(result["plume-000002"]["shown"], np.clip(result["plume-000002"]["shown"], 2, 13))


def test_only_the_end_of_a_damaged_video_is_unreadable(tmp_path):
    path = tmp_path / "plume.avi"  # a format whose beginning is readable without its end
    write_video(path, puffs(38))
    path.write_bytes(path.read_bytes()[: int(0.9 * path.stat().st_size)])
    reasons = [clip["reason"] for clip in cut(Clip("plume", path), tmp_path, clip_frames=16, keep_all=True).values()]
    assert reasons[-1] == "unreadable" and set(reasons[:-1]) == {None}


def test_clips_that_fail_a_criterion_can_be_kept(tmp_path):
    path = tmp_path / "dusk.mp4"
    frames = puffs(24) * np.linspace(0.5, 1, 24)[:, None, None, None]
    write_video(path, frames.astype(np.uint8))
    (dropped,) = cut(Clip("dusk", path), tmp_path / "dropped").values()
    assert dropped["reason"] == "light change" and dropped["sheet"].shape == (4, 3, 32, 32, 3)
    (kept,) = cut(Clip("dusk", path), tmp_path / "kept", keep_all=True).values()
    assert kept["reason"] is None and kept["failed"]["reason"] == "light change" and len(kept["image"]) > 0


def test_a_video_without_smoke_is_dropped_as_such(tmp_path):
    write_video(tmp_path / "empty.mp4", puffs(16, strength=0))
    (result,) = cut(Clip("empty", tmp_path / "empty.mp4"), tmp_path).values()
    assert result["reason"] == "no smoke" and result["value"] < 0.0003


def test_a_video_of_one_frame_is_too_short(tmp_path):
    write_video(tmp_path / "one.mp4", puffs(1))
    (result,) = cut(Clip("one", tmp_path / "one.mp4"), tmp_path).values()
    assert result["reason"] == "too short" and result["value"] == 1 and result["sheet"].shape[:2] == (4, 1)
