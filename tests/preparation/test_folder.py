import numpy as np
import pytest

from smoke_vq.preparation.folder import (
    check_output_folder,
    png,
    remove_temporary_files,
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


def test_output_folder_is_new_or_started_by_us(tmp_path):
    files = ({"settings.json", "data"}, "settings.json")
    assert check_output_folder(tmp_path / "new", *files) == tmp_path / "new"
    (tmp_path / "started" / "data").mkdir(parents=True)
    (tmp_path / "started" / "settings.json").touch()
    check_output_folder(tmp_path / "started", *files)
    (tmp_path / "file").touch()
    (tmp_path / "other" / "data").mkdir(parents=True)
    for name, words in {"file": "is a file", "other": r"contains other files \('data'\)"}.items():
        with pytest.raises(ValueError, match=words):
            check_output_folder(tmp_path / name, *files)


def test_only_temporary_files_of_named_files_are_removed(tmp_path):
    for name in ("a.npz.7.tmp", "b.npz.7.tmp", "a.npz"):
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path, ["a.npz"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz.7.tmp"]


def test_load_dataset_reads_what_was_written(tmp_path):
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
    (tmp_path / "card.md").write_text("# Frames of {{ name }}")
    write_card(folder, tmp_path / "card.md", {"name": "smoke"}, features, counts, license="cc0-1.0", tags=["smoke"])
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
    card = (folder / "README.md").read_text()
    assert "license: cc0-1.0" in card and card.endswith("\n\n# Frames of smoke\n")
    assert not list(folder.rglob("*.tmp"))
