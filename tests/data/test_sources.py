"""From a name to frames, and one sentence for each thing that can be wrong with the name or the data."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from smoke_vq.data.sources import check_sources, find_source, load_frames


def encode(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form)
    return buffer.getvalue()


@pytest.fixture
def image_folder(tmp_path, rows):
    """A folder of PNG files for each split."""
    for split, count in (("train", 6), ("validation", 3)):
        (tmp_path / "images" / split).mkdir(parents=True)
        for index, row in enumerate(rows(count)):
            (tmp_path / "images" / split / f"{index:03d}.png").write_bytes(row["image"])
    return tmp_path / "images"


@pytest.mark.parametrize("packed", [True, False])
def test_image_folder_has_no_alpha(image_folder, packed):
    frames = load_frames(str(image_folder), "train", size=16, packed=packed)
    batch = frames.__getitems__(range(6))
    assert set(batch) == {"image", "row"}
    files = sorted((image_folder / "train").iterdir())
    assert np.array_equal(batch["image"].numpy(), np.stack([np.asarray(Image.open(file)) for file in files]))
    assert len(load_frames(str(image_folder), "validation", size=16)) == 3


@pytest.mark.parametrize("by", ["folder", "file"])
def test_packed_safetensors(tmp_path, tiny_frames, by):
    tiny_frames.save(tmp_path / "train.safetensors")
    source = tmp_path if by == "folder" else tmp_path / "train.safetensors"
    frames = load_frames(str(source), "train", size=16, max_frames=4)
    assert torch.equal(frames.images, tiny_frames.select(4).images)
    with pytest.raises(ValueError, match="holds frames of 16x16: expected 64x64"):
        load_frames(str(source), "train")


def test_a_packed_folder_lists_its_splits(tmp_path, tiny_frames):
    tiny_frames.save(tmp_path / "train.safetensors")
    with pytest.raises(ValueError, match=r"has no split 'test': found \['train'\]"):
        load_frames(str(tmp_path), "test", size=16)


@pytest.mark.parametrize("packed", [True, False])
def test_max_frames_are_evenly_spaced(dataset_folder, tiny_frames, packed):
    frames = load_frames(str(dataset_folder), size=16, packed=packed, max_frames=4)
    assert torch.equal(frames.__getitems__(range(4))["image"], tiny_frames.images[[0, 8, 15, 23]])


def test_resize_brings_frames_to_size(dataset_folder):
    assert load_frames(str(dataset_folder), size=8, resize=True).images.shape == (24, 8, 8, 3)
    with pytest.raises(ValueError, match=r"Row 0 of split 'train' of .*Expected frames of 8x8, found 16x16"):
        load_frames(str(dataset_folder), size=8)


@pytest.mark.parametrize(
    ("column", "content", "sentence"),
    [
        ("image", encode(Image.new("RGBA", (16, 16))), "column 'image': Expected RGB images, found one of mode RGBA"),
        ("alpha", encode(Image.new("RGB", (16, 16))), "column 'alpha': Expected L images, found one of mode RGB"),
        ("image", encode(Image.new("RGB", (20, 18))), "column 'image': Expected frames of 16x16, found 20x18"),
        ("image", b"not a picture", "cannot be decoded"),
        ("image", b"", "cannot be decoded"),
    ],
    ids=["RGBA", "RGB alpha", "size", "not a picture", "no bytes"],
)
def test_a_bad_frame_is_named_by_its_row(write_dataset, rows, column, content, sentence):
    good = rows(5)
    good[3][column] = content
    folder = write_dataset("bad", {"train": good})
    with pytest.raises(ValueError, match=f"Row 3 of split 'train' of .*{sentence}"):
        load_frames(str(folder), size=16)


@pytest.mark.parametrize("share", [0.02, 0.06, 0.2, 0.5, 0.9])
def test_a_truncated_png_is_named_by_its_row(write_dataset, rows, share):
    bad = rows(4)
    bad[2]["image"] = bad[2]["image"][: int(share * len(bad[2]["image"]))]
    folder = write_dataset("truncated", {"train": bad})
    with pytest.raises(ValueError, match=r"Row 2 of split 'train' of .* cannot be decoded"):
        load_frames(str(folder), size=16)
    frames = load_frames(str(folder), size=16, packed=False)
    with pytest.raises(ValueError, match=r"Row 2 of"):
        frames.__getitems__([0, 2])


@pytest.fixture
def broken(tmp_path, write_dataset, rows, monkeypatch) -> None:
    """The current folder has datasets with one fault each."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "other", "table"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/notes.xyz").write_text("nothing")
    (tmp_path / "table/train.csv").write_text("height,width\n1,2\n")
    write_dataset("validation_only", {"validation": rows(2)})
    write_dataset("no_frames", {"train": [], "validation": rows(2)})
    file = next(write_dataset("cut", {"train": rows(2)}).rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-50])


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("missing", FileNotFoundError, "There is no dataset at missing: expected a folder or a Hub name"),
        ("missing.safetensors", FileNotFoundError, "There is no dataset at missing.safetensors"),
        ("empty", FileNotFoundError, "The dataset folder empty is empty"),
        ("other", FileNotFoundError, "There is no dataset at other"),
        ("other/notes.xyz", FileNotFoundError, "There is no dataset at other/notes.xyz"),
        ("other/missing", FileNotFoundError, "no dataset at other/missing, but the folder other exists"),
        ("validation_only", ValueError, "has no split 'train': .*validation"),
        ("no_frames", ValueError, "no_frames has no frames"),
        ("table", ValueError, r"has no column 'image': found \['height', 'width'\]"),
        ("cut", ValueError, "cut cannot be read as a dataset: .*[Pp]arquet"),
        ("nobody/no-such-dataset", FileNotFoundError, "no dataset at nobody/.*: the Hub cannot be reached"),
    ],
)
def test_refuses_in_one_sentence(broken, source, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        load_frames(source, size=16)
    assert "\n" not in str(raised.value)


def test_simulated_plumes(few_plumes, monkeypatch, tmp_path):
    """By name; a folder of that name needs a path."""
    frames = load_frames("simulated:tiny", "validation")
    assert frames.size == (64, 64) and frames.has_alpha
    assert frames.images[-1].any() and frames.alphas[-1].any()
    with pytest.raises(
        ValueError,
        match=r"Row 0 of .*simulated:tiny.* frames of 16x16, found 64x64",
    ):
        load_frames("simulated:tiny", size=16)
    frames.save(tmp_path / "train.safetensors")
    (tmp_path / "simulated").mkdir()
    (tmp_path / "train.safetensors").rename(tmp_path / "simulated/train.safetensors")
    monkeypatch.chdir(tmp_path)
    assert load_frames("./simulated", "train").fingerprint() == frames.fingerprint()


@pytest.mark.parametrize(
    ("source", "split", "sentence"),
    [
        ("simulated:huge", "train", "Unknown configuration of simulated plumes 'huge': expected one of"),
        ("simulated:", "train", "Unknown configuration of simulated plumes ''"),
        ("simulated", "test", "simulated:default has no split 'test': expected"),
    ],
)
def test_unknown_simulated_plumes(source, split, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_frames(source, split)


def test_an_empty_slice_has_no_frames(dataset_folder):
    with pytest.raises(ValueError, match=r"Split 'train\[:0\]' of .* has no frames"):
        load_frames(str(dataset_folder), "train[:0]", size=16)


def test_the_number_of_frames_is_known_from_a_header(tmp_path, tiny_frames):
    tiny_frames.save(tmp_path / "train.safetensors")
    assert find_source(str(tmp_path)).count(str(tmp_path), "train") == len(tiny_frames)
    assert find_source("simulated:tiny").count("simulated:tiny", "train") is None


def test_a_file_of_another_kind_is_refused_at_once(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"notes.txt, which is a file: expected a folder, a .safetensors file"):
        check_sources([str(tmp_path / "notes.txt")])
