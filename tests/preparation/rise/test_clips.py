import json

import numpy as np
import pytest
from synthetic_clips import write_video

from smoke_vq.preparation.rise.clips import label_of, list_clips, read_metadata, split_clips, split_video

START = 1528716299
RECORDS = [
    {"file_name": "a", "label_state": 23, "label_state_admin": -1, "camera_id": 1, "view_id": 2, "start_time": START},
    {"file_name": "b", "label_state": 16, "label_state_admin": 47, "camera_id": None, "start_time": None},
    {"file_name": "c", "label_state": 47, "label_state_admin": 32},
    {"file_name": "d", "label_state": 19, "label_state_admin": -1},
    {"file_name": "e", "label_state": -2, "label_state_admin": -1},
]


@pytest.fixture
def rise(tmp_path):
    (tmp_path / "videos").mkdir()
    for record in RECORDS:
        (tmp_path / "videos" / f"{record['file_name']}.mp4").touch()
    (tmp_path / "metadata.json").write_text(json.dumps(RECORDS))
    return tmp_path


def ids(clips):
    return [clip.clip_id for clip in clips]


def test_the_administrators_label_overrides_unless_it_is_minus_one():
    assert [label_of(record) for record in RECORDS] == [23, 47, 32, 19, -2]


def test_clips_are_selected_by_label_and_sorted_by_name(rise):
    assert ids(list_clips(rise, [47, 23])) == ["a", "b"]
    assert ids(list_clips(rise, [47, 23, 19])) == ["a", "b", "d"]
    assert ids(list_clips(rise)) == ["a", "b", "c", "d", "e"]
    with pytest.raises(ValueError, match="labels"):
        list_clips(rise, [20])


def test_provenance_has_no_path_and_time_in_utc(rise):
    first = list_clips(rise, [23])[0].provenance()
    assert first == {"clip_id": "a", "label": 23, "camera": 1, "view": 2, "time": "2018-06-11T11:24:59+00:00"}


def test_a_split_file_finds_the_videos_in_the_parent_or_the_given_folder(rise, tmp_path_factory):
    (rise / "split").mkdir()
    path = rise / "split" / "metadata_train_split_0.json"
    path.write_text(json.dumps(RECORDS[:1]))
    assert ids(list_clips(path, [23])) == ["a"]
    elsewhere = tmp_path_factory.mktemp("split") / "only.json"
    elsewhere.write_text(json.dumps(RECORDS[:1]))
    assert ids(list_clips(elsewhere, [23], videos=rise / "videos")) == ["a"]
    with pytest.raises(FileNotFoundError, match="--videos"):
        list_clips(elsewhere, [23])


def test_a_plain_folder_of_videos_has_no_labels(rise):
    clips = list_clips(rise / "videos", [47])
    assert ids(clips) == ["a", "b", "c", "d", "e"] and {clip.label for clip in clips} == {None}


def test_clips_without_a_video_are_named(rise):
    (rise / "videos" / "a.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 clips in .* have no video: a\."):
        list_clips(rise, [47, 23])


def test_two_videos_of_one_name_are_refused(rise):
    (rise / "videos" / "a.avi").touch()
    with pytest.raises(ValueError, match="are called 'a'"):
        list_clips(rise)


@pytest.mark.parametrize("text", ["[1, 2]", '{"a": 1}', "not json", '[{"name": "a"}]'])
def test_malformed_metadata_is_refused(tmp_path, text):
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match=r"metadata\.json"):
        read_metadata(tmp_path / "metadata.json")


def test_a_folder_must_contain_one_metadata_file(rise):
    (rise / "metadata_train.json").write_text("[]")
    with pytest.raises(ValueError, match=r"found metadata\.json, metadata_train\.json"):
        list_clips(rise)


def test_splits_contain_each_clip_once_and_are_repeatable(rise):
    clips = list_clips(rise)
    first = split_clips(clips, 0.4, seed=3)
    assert len(first["validation"]) == 2 and len(first["train"]) == 3
    assert sorted(ids(first["train"]) + ids(first["validation"])) == ids(clips)
    assert first == split_clips(clips, 0.4, seed=3)
    assert any(split_clips(clips, 0.4, seed=seed) != first for seed in range(4, 9))
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="fraction"):
            split_clips(clips, fraction)


def test_one_video_is_a_source_and_is_split_by_time(tmp_path):
    write_video(tmp_path / "plume.MP4", np.zeros((50, 32, 48, 3), np.uint8))
    (clip,) = list_clips(tmp_path / "plume.MP4", [47])
    assert clip.clip_id == "plume" and clip.frames == (0, None)

    def parts(*arguments):
        return {split: clips[0].frames for split, clips in split_video(clip, *arguments).items()}

    assert parts(0.2) == {"train": (0, 40), "validation": (40, None)}
    assert parts(0.01) == {"train": (0, 42), "validation": (42, None)}, "at least 8 frames"
    assert parts(0.2, 6) == {"train": (0, 17), "validation": (17, None)}, "25 frames at half the rate"
    assert parts(0.2, None, 40) == {"train": (0, 32), "validation": (32, None)}
    with pytest.raises(ValueError, match="has 15 frames, too few to split"):
        parts(0.5, None, 15)
    with pytest.raises(ValueError, match="fraction"):
        parts(1)
    with pytest.raises(ValueError, match="is a video"):
        list_clips(tmp_path / "plume.MP4", videos=tmp_path)
