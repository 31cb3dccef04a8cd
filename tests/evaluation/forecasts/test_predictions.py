import numpy as np
import pytest
import torch

from smoke_vq.evaluation.forecasts.predictions import load_predictions
from smoke_vq.layout import DATA
from smoke_vq.preparation.folder import frame_features, parquet, png


@pytest.fixture
def images(cases) -> np.ndarray:
    return np.stack([case.futures[1:3] for case in cases])


def test_an_npz_file_in_the_order_of_the_test_set(cases, images, tmp_path):
    np.savez(tmp_path / "ours.npz", prediction=images)
    predictions = load_predictions(tmp_path / "ours.npz", cases)
    assert torch.equal(predictions(cases[4]), cases[4].future_values[1:3])


def write_folder(folder, cases, images, skip=()):
    rows = [
        {"image": png(frame), "alpha": png(frame[..., 0]), **dict(zip(("seed", "start", "member", "frame"), key))}  # noqa: B905
        for case, members in zip(cases, images, strict=True)
        for member, film in enumerate(members)
        for t, frame in enumerate(film)
        if (key := (int(case.group), len(case.past), member, len(case.past) + t)) not in skip
    ]
    (folder / DATA).mkdir(parents=True)
    columns = dict.fromkeys(("seed", "start", "member", "frame"), "int64")
    (folder / DATA / "test-0.parquet").write_bytes(parquet(rows, frame_features(columns)))


def test_a_folder_with_the_columns_of_futures(cases, images, tmp_path):
    write_folder(tmp_path / "theirs", cases, images)
    assert np.array_equal(load_predictions(tmp_path / "theirs", cases).images, images)


def test_a_missing_frame_is_named(cases, images, tmp_path):
    write_folder(tmp_path / "theirs", cases, images, skip=[(1, 3, 1, 5)])
    with pytest.raises(ValueError, match="no frame 3 of member 1 for seed 1, start 3"):
        load_predictions(tmp_path / "theirs", cases)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[:-1], r"shape \(5, 2, 4, 12, 12, 3\) and type uint8: expected \(6, S, 4, 12, 12, 3\) uint8"),
        (lambda x: x[:, :, :3], "for 6 forecasts of 4 frames"),
        (lambda x: x[..., :8, :8, :], "expected"),
        (lambda x: x / 255, "type float64"),
        (lambda x: x[:, :0], r"without samples \(S is 0\)"),
    ],
)
def test_other_shapes_and_types_are_refused(cases, images, tmp_path, change, sentence):
    np.savez(tmp_path / "ours.npz", prediction=change(images))
    with pytest.raises(ValueError, match=sentence):
        load_predictions(tmp_path / "ours.npz", cases)


def test_other_files_are_refused(cases, images, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no predictions at .*none\.npz"):
        load_predictions(tmp_path / "none.npz", cases)
    (tmp_path / "text.npz").write_text("frames")
    with pytest.raises(ValueError, match="damaged or not an npz file"):
        load_predictions(tmp_path / "text.npz", cases)
    np.savez(tmp_path / "other.npz", predictions=images)
    with pytest.raises(ValueError, match=r"no array 'prediction': found \['predictions'\]"):
        load_predictions(tmp_path / "other.npz", cases)
    whole = tmp_path / "whole.npz"
    np.savez(whole, prediction=images)
    (tmp_path / "half.npz").write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged or not an npz file"):
        load_predictions(tmp_path / "half.npz", cases)
    (tmp_path / "empty" / DATA).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no predicted frames"):
        load_predictions(tmp_path / "empty", cases)
