import numpy as np
import pytest

from smoke_vq.preparation.folder import (
    WORK_FOLDER,
    check_output_folder,
    png,
    write_atomically,
    write_card,
    write_contact_sheet,
    write_split,
)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_output_folder(tmp_path):
    assert check_output_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "unfinished" / WORK_FOLDER).mkdir(parents=True)
    check_output_folder(tmp_path / "unfinished")
    (tmp_path / "file").touch()
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "README.md").touch()
    (tmp_path / "foreign" / "data").mkdir(parents=True)
    for name, words in {"file": "is a file", "finished": "already holds", "foreign": "something else"}.items():
        with pytest.raises(ValueError, match=words):
            check_output_folder(tmp_path / name)


def test_what_is_written_is_what_load_dataset_reads(tmp_path):
    datasets = pytest.importorskip("datasets")
    picture = datasets.Image()
    features = datasets.Features({"image": picture, "alpha": picture, "step": datasets.Value("int32")})
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    rows = [{"image": png(image), "alpha": png(image[..., 0]), "step": step} for step, image in enumerate(images)]
    folder = tmp_path / "dataset"
    counts = {"train": write_split(folder, "train", rows, features, rows_per_shard=2)}
    counts["validation"] = write_split(folder, "validation", rows[:1], features)
    write_contact_sheet(folder / "contact_sheet.png", [("row", [images[0], images[0][..., 0]])])
    write_card(folder, "# Frames", features, counts, license="cc0-1.0", tags=["smoke"])
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        *(f"train-0000{shard}-of-00003.parquet" for shard in range(3)),
        "validation-00000-of-00001.parquet",
    ]
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == counts == {"train": 5, "validation": 1}
    assert loaded["train"].features == features
    assert loaded["train"]["step"][:] == list(range(5))
    for row, image in zip(loaded["train"], images, strict=True):
        assert np.array_equal(np.array(row["image"]), image) and np.array_equal(np.array(row["alpha"]), image[..., 0])
    assert "license: cc0-1.0" in (folder / "README.md").read_text()
    assert not list(folder.rglob("*.tmp"))
