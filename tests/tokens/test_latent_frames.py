"""Latents of frames in memory, from files and encoded at once."""

import pytest
import torch

from smoke_vq import SmokeImageProcessor
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.windows import windows
from smoke_vq.tokens import LatentFrames, LatentSpace, encode_dataset, encode_frames, join_latents, read_latents

PROCESSOR = SmokeImageProcessor(size=16)


@pytest.fixture
def frames(tiny_frames) -> PackedFrames:
    runs = torch.tensor([0] * 5 + [1] * 12 + [2] * 7)
    return PackedFrames(tiny_frames.images[:24], name="blobs", sequences=runs)


@pytest.fixture
def folder(tiny_model, frames, tmp_path):
    encode_dataset(tiny_model, PROCESSOR, {"train": frames}, tmp_path / "codes", latents=True, rows_per_file=10)
    return tmp_path / "codes"


def test_files_and_encoding_give_the_latents_of_the_model(tiny_model, frames, folder):
    with torch.no_grad():
        expected = tiny_model.encode(PROCESSOR.to_pixel_values(frames.images)).latents
    for found in (read_latents(folder, "train", tiny_model), encode_frames(frames, tiny_model, PROCESSOR)):
        assert found.images.dtype == torch.float16 and found.sequences.tolist() == frames.sequences.tolist()
        torch.testing.assert_close(found.images.float(), expected, atol=5e-3, rtol=2e-3)


def test_windows_of_latents(tiny_model, frames):
    latents = encode_frames(frames, tiny_model, PROCESSOR, mirror=True)
    batch = windows(latents, num_previous=1, num_next=2, earlier=False).__getitems__([0, 1])
    assert batch["latents"].shape == (2, 4, 8, 8, 8) and torch.equal(batch["latents"][0], latents.images[:4])
    joined = join_latents([latents, latents])
    assert len(joined) == 96 and len(set(joined.sequences.tolist())) == 12


def test_map_applies_a_transform(tiny_model, frames):
    doubled = encode_frames(frames, tiny_model, PROCESSOR).map(lambda latents: 2 * latents)
    assert isinstance(doubled, LatentFrames) and doubled.images.dtype == torch.float32


def test_a_latent_space_decodes_what_it_encodes(tiny_model, frames):
    tiny_model.register_to_config(latents_mean=[0.5] * 8, latents_std=[2.0] * 8)
    space, pixel_values = LatentSpace(tiny_model), PROCESSOR.to_pixel_values(frames.images)
    with torch.no_grad():
        expected = tiny_model(pixel_values).sample
    torch.testing.assert_close(space.decode(space.encode(pixel_values)), expected, atol=1e-4, rtol=1e-4)


def test_what_is_refused(tiny_model, frames, folder):
    with pytest.raises(ValueError, match="has no split 'test': expected one of"):
        read_latents(folder, "test", tiny_model)
    part = sorted((folder / "data").glob("*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is damaged"):
        read_latents(folder, "train", tiny_model)
    (folder / "README.md").unlink()
    with pytest.raises(ValueError, match="is incomplete: run smoke-vq encode"):
        read_latents(folder, "train", tiny_model)
    with pytest.raises(ValueError, match="does not say which frames follow each other"):
        encode_frames(PackedFrames(frames.images), tiny_model, PROCESSOR)
