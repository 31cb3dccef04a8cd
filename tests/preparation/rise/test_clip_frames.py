import pytest

from smoke_vq.preparation.rise.clip_frames import ClipSettings, cut_out_clip, load_clip_frames
from smoke_vq.preparation.rise.clips import Clip


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"size": 5000}, {"matting": "keying"}, {"gain": 0.0}, {"min_coverage": 0.5, "max_coverage": 0}],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong)).split('_')[-1]}"):
        ClipSettings(**wrong)


def test_an_unreadable_clip_is_dropped_with_its_reason(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video")
    (tmp_path / "a.npz").write_bytes(cut_out_clip(Clip("a", tmp_path / "a.mp4"), ClipSettings()))
    result = load_clip_frames(tmp_path / "a.npz")
    assert result["reason"] == "unreadable" and "a.mp4" in result["detail"]
