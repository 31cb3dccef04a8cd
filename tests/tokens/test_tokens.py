"""Frames to codes and back, and the statistics of latents."""

import copy
import json
import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.tokens import decode_dataset, encode_dataset, latent_statistics, latents_digest, model_digest

PROCESSOR = SmokeImageProcessor(size=16)


@pytest.fixture
def frames(tiny_frames) -> PackedFrames:
    """24 frames, in runs of 5, 12 and 7."""
    runs = torch.tensor([0] * 5 + [1] * 12 + [2] * 7)
    return PackedFrames(tiny_frames.images[:24], name="blobs", sequences=runs)


@pytest.fixture
def encode(tiny_model, frames, tmp_path):
    """Encode the frames with files of 10 rows into `tmp_path/codes`."""

    def run(model=tiny_model, **changes):
        keywords = {"latents": True, "rows_per_file": 10, "batch_size": 4} | changes
        encode_dataset(model.eval(), PROCESSOR, {"train": frames}, tmp_path / "codes", **keywords)
        return tmp_path / "codes"

    return run


def read(folder, split: str = "train"):
    return datasets.load_dataset(str(folder), split=split).with_format("numpy")[:]


def test_codes_and_latents_are_those_of_the_model(encode, tiny_model, frames):
    columns = read(encode())
    with torch.no_grad():
        output = tiny_model.encode(PROCESSOR.to_pixel_values(frames.images))
    assert np.array_equal(columns["indices"], output.indices.numpy())
    assert np.allclose(columns["latents"], output.latents.half().numpy(), atol=1e-3)
    assert columns["row"].tolist() == list(range(24))
    assert columns["sequence"].tolist() == frames.sequences.tolist()
    assert columns["frame"].tolist() == [*range(5), *range(12), *range(7)]


def test_the_columns_are_small(encode):
    features = datasets.load_dataset(str(encode()), split="train").features
    assert (features["indices"].dtype, features["latents"].dtype) == ("uint16", "float16")


def test_decoding_gives_the_frames_of_decode_indices_to_the_last_bit(encode, tiny_model, tmp_path):
    folder = encode()
    decode_dataset(tiny_model, PROCESSOR, folder, tmp_path / "frames", batch_size=24)
    rows = datasets.load_dataset(str(tmp_path / "frames"), split="train")
    with torch.no_grad():
        sample = tiny_model.decode_indices(torch.from_numpy(read(folder)["indices"].astype(np.int64))).sample
    expected = PROCESSOR.postprocess(sample, "np")
    assert np.array_equal(np.stack([np.asarray(image) for image in rows["image"]]), expected)
    assert rows["frame"] == read(folder)["frame"].tolist()


def test_several_codes_at_a_position_come_back_to_the_last_bit(encode, tiny_kwargs, frames, tmp_path):
    kwargs = {"quantizer_type": "residual", "quantizer_kwargs": {"depth": 3}}
    model = SmokeVQVAE(**tiny_kwargs, **kwargs).eval()
    for level, part in enumerate(model.quantizer.parts):
        torch.nn.init.normal_(part.codebook, std=0.5**level)
    folder = encode(model)
    features = datasets.load_dataset(str(folder), split="train").features["indices"]
    assert (features.shape, features.dtype) == ((8, 8, 3), "uint16")
    card = (folder / "README.md").read_text()
    assert "8x8x3 whole numbers below 32" in card and "(16, 8, 8, 3)" in card and "`indices` | (8, 8, 3) uint16" in card
    with torch.no_grad():
        indices = model.encode(PROCESSOR.to_pixel_values(frames.images)).indices
        sample = model.decode_indices(torch.from_numpy(read(folder)["indices"].astype(np.int64))).sample
        assert torch.equal(model(PROCESSOR.to_pixel_values(frames.images)).sample, sample)
    assert np.array_equal(read(folder)["indices"], indices.numpy()) and len(indices[..., 2].unique()) > 1
    decode_dataset(model, PROCESSOR, folder, tmp_path / "frames", batch_size=24)
    rows = datasets.load_dataset(str(tmp_path / "frames"), split="train")
    assert np.array_equal(np.stack([np.asarray(image) for image in rows["image"]]), PROCESSOR.postprocess(sample, "np"))


def test_two_processes_write_the_files_of_one(encode, tmp_path):
    folder = encode()
    files = {path.name: path.read_bytes() for path in (folder / "data").iterdir()}
    assert sorted(files) == [f"train-{number:05d}-of-00003.parquet" for number in range(3)]
    shutil.rmtree(folder)
    encode(rank=1, world_size=2)
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00001-of-00003.parquet"]
    assert not (folder / "README.md").exists()
    encode(rank=0, world_size=2)
    assert {path.name: path.read_bytes() for path in (folder / "data").iterdir()} == files


def test_an_interrupted_run_continues(encode, monkeypatch):
    from smoke_vq.tokens import encode as module

    def stop_at_the_second(*arguments):
        if arguments[3].start > 0:
            raise KeyboardInterrupt
        return encode_rows(*arguments)

    encode_rows = module._encode_rows
    with monkeypatch.context() as patch:
        patch.setattr(module, "_encode_rows", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            encode()
    folder = encode()
    assert len(read(folder)["row"]) == 24 and not list(folder.rglob("*.tmp"))


def other_model(tiny_kwargs) -> SmokeVQVAE:
    torch.manual_seed(9)
    return SmokeVQVAE(**tiny_kwargs).eval()


def test_the_card_names_the_encoder(encode, tiny_model):
    card = (encode(encoder={"name": "user/model"}) / "README.md").read_text()
    assert latents_digest(tiny_model) in card and "`user/model`" in card and "SmokeVQVAE" in card


def test_codes_of_another_encoder_are_refused(encode, tiny_kwargs, tmp_path):
    folder = encode()
    with pytest.raises(ValueError, match="was started with other settings"):
        encode(other_model(tiny_kwargs))
    with pytest.raises(ValueError, match="was encoded by another model than this one"):
        decode_dataset(other_model(tiny_kwargs), PROCESSOR, folder, tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_a_model_with_another_decoder_decodes_the_codes(encode, tiny_model, tiny_kwargs, tmp_path):
    folder, other = encode(), copy.deepcopy(tiny_model)
    other.decoder.load_state_dict(other_model(tiny_kwargs).decoder.state_dict())
    assert latents_digest(other) == latents_digest(tiny_model) and model_digest(other) != model_digest(tiny_model)
    decode_dataset(other, PROCESSOR, folder, tmp_path / "frames")
    decoded = datasets.load_dataset(str(tmp_path / "frames"), split="train")[0]["image"]
    codes = torch.from_numpy(read(folder)["indices"][:1].astype(np.int64))
    assert np.array_equal(decoded, PROCESSOR.postprocess(other.decode_indices(codes).sample, "np")[0])


def test_mixed_damaged_and_missing_files_are_refused(encode, tiny_model, tiny_kwargs, tmp_path):
    folder = encode()
    file = folder / "data" / "train-00001-of-00003.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"train-00001-of-00003\.parquet is damaged"):
        decode_dataset(tiny_model, PROCESSOR, folder, tmp_path / "frames")
    shutil.move(folder, tmp_path / "mine")
    other = encode(other_model(tiny_kwargs))
    shutil.copy(other / "data" / file.name, tmp_path / "mine/data")
    with pytest.raises(ValueError, match="holds codes of another encoder"):
        decode_dataset(tiny_model, PROCESSOR, tmp_path / "mine", tmp_path / "frames")
    (tmp_path / "mine/README.md").unlink()
    (tmp_path / "mine/data" / file.name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is incomplete: run smoke-vq encode again"):
        decode_dataset(tiny_model, PROCESSOR, tmp_path / "mine", tmp_path / "frames")
    with pytest.raises(FileNotFoundError, match=r"is not a folder of codes: it has no settings\.json"):
        decode_dataset(tiny_model, PROCESSOR, tmp_path, tmp_path / "frames")


def test_more_codes_than_uint16_holds_are_refused(tiny_kwargs, frames, tmp_path):
    model = SmokeVQVAE(**tiny_kwargs | {"num_vq_embeddings": 65537})
    with pytest.raises(ValueError, match="uint16 holds 65,536 codes: found a model with 65,537"):
        encode_dataset(model, PROCESSOR, {"train": frames}, tmp_path / "codes")


def test_statistics_of_latents_are_those_of_numpy(tiny_model, frames):
    loader = FrameLoader(frames, PROCESSOR, batch_size=7)
    mean, std = latent_statistics(tiny_model, loader, Accelerator(cpu=True))
    with torch.no_grad():
        latents = tiny_model.encode(PROCESSOR.to_pixel_values(frames.images)).latents.double().numpy()
    assert np.allclose(mean, latents.mean(axis=(0, 2, 3)), atol=1e-6)
    assert np.allclose(std, latents.std(axis=(0, 2, 3)), atol=1e-6)


def test_the_digest_is_that_of_the_weights(tiny_model, tiny_kwargs, tmp_path):
    tiny_model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert model_digest(SmokeVQVAE.from_pretrained(tmp_path)) == model_digest(tiny_model)
    assert model_digest(other_model(tiny_kwargs)) != model_digest(tiny_model)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == "SmokeVQVAE"


def test_the_loader_of_the_page_gives_pairs_of_neighbours(encode):
    page = (Path(__file__).parents[2] / "docs/tokens.md").read_text()
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)
    first, second = names["pairs"](str(encode()))
    indices = torch.from_numpy(read(encode())["indices"].astype(np.int64))
    assert first.shape == second.shape == (21, 8, 8)  # 24 frames in 3 runs
    assert torch.equal(first[4], indices[5]) and torch.equal(second[4], indices[6])


def test_the_generative_model_of_the_page_samples_frames(encode, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/tokens.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class NextCode" in block)
    code = code.replace('"data/codes"', repr(str(encode()))).replace("STEPS = 1024, 128, 2000", "STEPS = 1024, 16, 2")
    names: dict = {}
    monkeypatch.chdir(tmp_path)
    exec(code, names)
    assert names["sampled"].shape == (8, 65) and names["pixels"].shape == (8, 3, 64, 64)
    assert Image.open("sampled.png").size == (8 * 128 + 7 * 2, 128)


def test_training_writes_the_statistics_into_the_config(finished_run, data):
    config = json.loads((finished_run / "best/config.json").read_text())
    frames = PackedFrames.load(data / "train.safetensors")
    model = SmokeVQVAE.from_pretrained(finished_run / "best")
    mean, std = latent_statistics(model, FrameLoader(frames, PROCESSOR, 8), Accelerator(cpu=True))
    assert config["latents_mean"] == pytest.approx(mean, rel=1e-5)
    assert config["latents_std"] == pytest.approx(std, rel=1e-5) and min(std) > 0
