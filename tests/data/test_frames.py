"""Frames in memory and frames decoded on demand are the same frames."""

import stat

import pytest
import torch

from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.sources import load_frames


def test_packed_and_decoded_are_the_same_bit_for_bit(dataset_folder, tiny_frames):
    packed = load_frames(str(dataset_folder), "train", size=16)
    decoded = load_frames(str(dataset_folder), "train", size=16, packed=False)
    rows = [5, 0, 23, 5]
    for frames in (packed, decoded):
        batch, expected = frames.__getitems__(rows), tiny_frames.__getitems__(rows)
        assert set(batch) == {"image", "alpha", "row"}
        for name in batch:
            assert torch.equal(batch[name], expected[name]), name
    assert len(packed) == len(decoded) == 24
    assert packed.size == decoded.size == (16, 16)


@pytest.mark.parametrize("with_alpha", [True, False])
def test_saves_and_loads(tmp_path, tiny_frames, with_alpha):
    frames = PackedFrames(tiny_frames.images, tiny_frames.alphas if with_alpha else None)
    frames.save(tmp_path / "train.safetensors")
    loaded = PackedFrames.load(tmp_path / "train.safetensors")
    assert torch.equal(loaded.images, frames.images)
    assert torch.equal(loaded.alphas, frames.alphas) if with_alpha else loaded.alphas is None
    assert loaded.fingerprint() == frames.fingerprint()
    assert [path.name for path in tmp_path.iterdir()] == ["train.safetensors"]
    assert stat.S_IMODE((tmp_path / "train.safetensors").stat().st_mode) == 0o644


@pytest.mark.parametrize("content", [b"", b"not safetensors", None], ids=["empty", "other", "truncated"])
def test_refuses_a_damaged_file(tmp_path, tiny_frames, content):
    path = tmp_path / "train.safetensors"
    tiny_frames.save(path)
    path.write_bytes(path.read_bytes()[:-10] if content is None else content)
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        PackedFrames.load(path)


def test_refuses_a_file_of_other_tensors(tmp_path):
    from safetensors.torch import save_file

    save_file({"weights": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"has no tensor 'images'.*found \['weights'\]"):
        PackedFrames.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("images", "alphas", "sentence"),
    [
        (torch.zeros(2, 16, 16, 3), None, r"found torch.float32 \(2, 16, 16, 3\)"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), None, r"expected a \(N, H, W, 3\) uint8 tensor"),
        (torch.zeros(0, 16, 16, 3, dtype=torch.uint8), None, "at least one frame"),
        (torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 16, 16), "expected alphas of"),
        (torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.zeros(1, 16, 16, dtype=torch.uint8), "expected alphas of"),
    ],
    ids=["floats", "channels first", "empty", "float alphas", "fewer alphas"],
)
def test_refuses_other_tensors(images, alphas, sentence):
    with pytest.raises(ValueError, match=f"my clip: .*{sentence}"):
        PackedFrames(images, alphas, name="my clip")


def test_select_is_evenly_spaced(tiny_frames):
    for name in ("images", "alphas"):
        assert torch.equal(getattr(tiny_frames.select(4), name), getattr(tiny_frames, name)[[0, 8, 15, 23]])
    assert tiny_frames.select(None) is tiny_frames
    assert tiny_frames.select(24) is tiny_frames
    assert tiny_frames.select(100) is tiny_frames
    assert len(tiny_frames.select(1)) == 1


@pytest.mark.parametrize("change", ["image", "alpha", "count", "no alpha"])
def test_fingerprint_changes_with_any_pixel(tiny_frames, change):
    images, alphas = tiny_frames.images.clone(), tiny_frames.alphas.clone()
    assert PackedFrames(images, alphas).fingerprint() == tiny_frames.fingerprint()
    if change == "image":
        images[3, 2, 1, 0] += 1
    elif change == "alpha":
        alphas[3, 2, 1] += 1
    elif change == "count":
        images, alphas = images[:-1], alphas[:-1]
    else:
        alphas = None
    assert PackedFrames(images, alphas).fingerprint() != tiny_frames.fingerprint()


def test_fingerprint_of_decoded_frames_changes_with_the_rows(dataset_folder):
    def fingerprint(**kwargs):
        return load_frames(str(dataset_folder), size=16, packed=False, **kwargs).fingerprint()

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint(split="validation"), fingerprint(max_frames=8)}) == 3


def test_sequences_are_kept_and_break_where_frames_are_missing(tmp_path, tiny_frames):
    sequences = torch.arange(24) // 8
    frames = PackedFrames(tiny_frames.images, tiny_frames.alphas, sequences=sequences)
    assert frames.fingerprint() == tiny_frames.fingerprint()
    frames.save(tmp_path / "train.safetensors")
    assert torch.equal(PackedFrames.load(tmp_path / "train.safetensors").sequences, sequences)
    assert len(set(frames.select(12).sequences.tolist())) > 10
    assert tiny_frames.sequences is None and tiny_frames.select(5).sequences is None
    with pytest.raises(ValueError, match="expected sequences of"):
        PackedFrames(tiny_frames.images, sequences=sequences[:5])


def test_sequences_are_read_from_the_columns_of_a_dataset():
    from datasets import Dataset, Features, Image, Value

    images = [{"bytes": b"never decoded", "path": None}] * 6
    features = Features({"image": Image(), "clip_id": Value("string"), "frame_index": Value("int32")})
    columns = {"image": images, "clip_id": list("bbbaaa"), "frame_index": [0, 1, 3, 4, 5, 6]}
    frames = DatasetFrames(Dataset.from_dict(columns, features=features), size=16)
    assert frames.sequences.tolist() == [0, 0, 1, 2, 2, 2]
    assert frames.select(3).sequences.tolist() == [0, 1, 2]
    assert DatasetFrames(frames.dataset, size=16).sequences is None
