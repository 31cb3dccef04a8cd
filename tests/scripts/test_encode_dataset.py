"""scripts/encode_dataset.py, decode_dataset.py and measure_latents.py as a user runs them."""

import json

import datasets
import numpy as np
import pytest
import torch
from synthetic_clips import write_video
from training_runs import ROOT, fork, run

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.images import as_frame
from smoke_vq.downloads.verify import WHOLE, verify_folder
from smoke_vq.preparation.matting.video import read_video


@pytest.fixture
def codes(finished_run, data, tmp_path):
    ended = run(
        "encode_dataset.py", f"--model {finished_run / 'best'} --dataset {data} --output-dir {tmp_path / 'codes'}"
    )
    assert ended.code == 0, ended.err
    return tmp_path / "codes"


def test_there_and_back(codes, finished_run, data, tmp_path):
    ended = run(
        "decode_dataset.py", f"--model {finished_run / 'best'} --input-dir {codes} --output-dir {tmp_path / 'frames'}"
    )
    assert ended.code == 0, ended.err
    assert [verdict.state for folder in (codes, tmp_path / "frames") for verdict in verify_folder(folder)] == [
        WHOLE
    ] * 2
    model, processor = SmokeVQVAE.from_pretrained(finished_run / "best"), SmokeImageProcessor(size=16)
    frames = PackedFrames.load(data / "validation.safetensors")
    with torch.no_grad():
        sample = model(processor.to_pixel_values(frames.images)).sample
    found = datasets.load_dataset(str(tmp_path / "frames"), split="validation")["image"]
    assert np.array_equal(np.stack([np.asarray(image) for image in found]), processor.postprocess(sample, "np"))
    assert datasets.load_dataset(str(codes), split="train").num_rows == 40
    card = (codes / "README.md").read_text()
    assert "name: `best`" in card and "name: `blobs`" in card and str(tmp_path) not in card


def test_two_processes_write_the_files_of_one(codes, finished_run, data, tmp_path):
    flags = f"--model {finished_run / 'best'} --dataset {data} --output-dir {tmp_path / 'two'}"
    fork([ROOT / "scripts/encode_dataset.py", *flags.split()], processes=2)
    for path in (codes / "data").iterdir():
        assert (tmp_path / "two/data" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--rows-per-file 0", "rows_per_file expects 1 or more, found 0"),
        ("--model /nowhere", "The folder '/nowhere' does not exist"),
        ("--dataset /nowhere", "/nowhere"),
        ("--splits learn", "has no split 'learn'"),
        ("--fps 12", "has no frame rate: fps is for folders of videos"),
    ],
)
def test_mistakes_end_in_one_sentence(finished_run, data, tmp_path, flags, said):
    common = f"--model {finished_run / 'best'} --dataset {data} --output-dir {tmp_path / 'codes'}"
    ended = run("encode_dataset.py", f"{common} {flags}")
    assert ended.code == 2 and said in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "codes").exists()


def test_statistics_are_added_to_a_saved_model(finished_run, data, tmp_path):
    model = SmokeVQVAE.from_pretrained(finished_run / "best")
    expected = list(model.config.latents_mean)
    model.register_to_config(latents_mean=None, latents_std=None)
    model.save_pretrained(tmp_path / "old")
    SmokeImageProcessor(size=16).save_pretrained(tmp_path / "old")
    flags = f"--model {tmp_path / 'old'} --dataset {data} --output-dir {tmp_path / 'new'}"
    ended = run("measure_latents.py", flags)
    assert ended.code == 0, ended.err
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert config["latents_mean"] == pytest.approx(expected, rel=1e-5)
    assert SmokeImageProcessor.from_pretrained(tmp_path / "new").height == 16
    again = run("measure_latents.py", flags)
    assert again.code == 2 and "already exists: choose a new folder" in again.err


def test_a_folder_of_videos_is_encoded_video_by_video(finished_run, tmp_path):
    clip = np.stack([np.full((32, 32, 3), 20 * time, np.uint8) for time in range(1, 6)])
    (tmp_path / "videos").mkdir()
    for name, frames in (("first.mp4", clip), ("second.mp4", clip[:3])):
        write_video(tmp_path / "videos" / name, frames)
    flags = f"--model {finished_run / 'best'} --dataset {tmp_path / 'videos'} --output-dir {tmp_path / 'codes'}"
    ended = run("encode_dataset.py", f"{flags} --splits train --resize")
    assert ended.code == 0, ended.err
    rows = datasets.load_dataset(str(tmp_path / "codes"), split="train")
    assert rows["sequence"] == [0] * 5 + [1] * 3 and rows["frame"] == [*range(5), *range(3)]
    images = [as_frame(frame, 3, 16, True) for frame in read_video(tmp_path / "videos/second.mp4")]
    model, processor = SmokeVQVAE.from_pretrained(finished_run / "best"), SmokeImageProcessor(size=16)
    indices = model.encode(processor.to_pixel_values(torch.from_numpy(np.stack(images)))).indices
    assert np.array_equal(rows.with_format("numpy")["indices"][5:], indices.numpy())
    unresized = run("encode_dataset.py", f"{flags}2 --splits train")
    assert unresized.code == 2 and "Expected frames of 16x16, found 32x32" in unresized.err
    resampled = run("encode_dataset.py", f"{flags}_at_6 --splits train --resize --fps 6")  # of 12
    assert resampled.code == 0, resampled.err
    slow = datasets.load_dataset(str(tmp_path / "codes_at_6"), split="train")
    assert slow["sequence"] == [0] * 3 + [1] * 2 and slow["frame"] == [*range(3), *range(2)]
    assert slow["indices"] == rows.select([0, 2, 4, 5, 7])["indices"]
    assert "fps: `6.0`" in (tmp_path / "codes_at_6/README.md").read_text()
