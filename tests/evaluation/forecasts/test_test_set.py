import json

import numpy as np
import pytest
import torch

from smoke_vq.data.frames import PackedFrames
from smoke_vq.evaluation.forecasts.cases import ForecastCase, check_cases
from smoke_vq.evaluation.forecasts.test_set import load_test_set, sequence_cases, write_observed
from smoke_vq.preparation.futures.plan import FuturesPlan
from smoke_vq.preparation.futures.prepare import prepare_futures
from smoke_vq.preparation.futures.rows import read_futures
from smoke_vq.simulation import PlumeSettings


@pytest.fixture(scope="module")
def futures_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("futures") / "set"
    prepare_futures(FuturesPlan(PlumeSettings(8, dimensions=2), 2, (4, 6), 3, 2), folder)
    return folder


def test_a_folder_of_futures_is_read_plume_by_plume(futures_folder):
    cases = load_test_set(str(futures_folder))
    assert [(case.group, len(case.past)) for case in cases] == [
        *(("2000000000", 4), ("2000000000", 6), ("2000000001", 4), ("2000000001", 6))
    ]
    (first, _) = read_futures(sorted((futures_folder / "data").iterdir())[0])
    assert np.array_equal(cases[0].past, first.past_image) and np.array_equal(cases[0].futures, first.image)
    assert len(load_test_set(str(futures_folder), max_groups=1)) == 2


def test_an_incomplete_folder_is_refused(futures_folder, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "settings.json").write_text((futures_folder / "settings.json").read_text())
    with pytest.raises(ValueError, match=r"is incomplete \(0 of 2 plumes\)"):
        load_test_set(str(tmp_path))


def packed(lengths: list[int]) -> PackedFrames:
    images = torch.arange(sum(lengths), dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3).contiguous()
    return PackedFrames(
        images, name="clips", sequences=torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    )


def test_clips_are_cut_into_forecasts_that_observe_all_earlier_frames():
    cases = sequence_cases(packed([9, 5, 12]), num_frames=4)
    assert [(case.group, len(case.past)) for case in cases] == [("0", 4), ("14", 4), ("14", 8)]
    assert cases[2].past[:, 0, 0, 0].tolist() == list(range(14, 22))
    assert cases[2].futures[0, :, 0, 0, 0].tolist() == list(range(22, 26))


def test_clips_without_sequences_or_too_short_are_refused():
    with pytest.raises(ValueError, match="longest clip of clips has 7 frames: expected 4 observed frames and 4"):
        sequence_cases(packed([7, 7]), num_frames=4)
    with pytest.raises(ValueError, match="does not say which frames follow each other"):
        sequence_cases(PackedFrames(packed([9]).images), num_frames=4)


def test_sizes_and_lengths_must_agree(cases):
    other = ForecastCase("other", "x", np.zeros((4, 8, 8, 3), np.uint8), np.zeros((5, 4, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"different sizes \(12x12, 8x8\): expected one size"):
        check_cases([*cases, other], "the set")
    longer = ForecastCase("longer", "x", cases[0].past, np.zeros((5, 6, 12, 12, 3), np.uint8))
    with pytest.raises(ValueError, match="longer of the set has 5 futures of 6 frames"):
        check_cases([*cases, longer], "the set")
    with pytest.raises(ValueError, match="the set has no forecast"):
        check_cases([], "the set")


def test_observed_frames_are_written_without_the_future(cases, tmp_path):
    write_observed(cases, tmp_path / "new" / "observed.npz")
    with np.load(tmp_path / "new" / "observed.npz") as file:
        assert sorted(file) == ["frames", "name", "num_frames", "num_observed"]
        past = np.split(file["frames"], file["num_observed"].cumsum()[:-1])
        assert file["num_frames"] == 4 and list(file["name"]) == [case.name for case in cases]
    assert all(np.array_equal(one, case.past) for one, case in zip(past, cases, strict=True))


def test_a_folder_of_training_plumes_is_not_one_of_futures(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"num_frames": 10}))
    with pytest.raises(ValueError, match=r"cannot be read as a dataset|has no split"):
        load_test_set(str(tmp_path))


def test_forecasts_can_start_later():
    frames = PackedFrames(torch.zeros(24, 8, 8, 3, dtype=torch.uint8), sequences=torch.zeros(24, dtype=torch.int64))
    assert [len(case.past) for case in sequence_cases(frames, num_frames=8, min_past=8)] == [8, 16]
    with pytest.raises(ValueError, match="expected 20 observed frames and 8 to predict"):
        sequence_cases(frames, num_frames=8, min_past=20)
