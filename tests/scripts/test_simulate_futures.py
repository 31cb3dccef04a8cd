"""scripts/simulate_plumes.py --futures with small two-dimensional plumes."""

import os

import datasets
import numpy as np
import pytest
from training_runs import run

from smoke_vq.data.sources import load_frames
from smoke_vq.downloads.verify import WHOLE, verify_folder
from smoke_vq.preparation.futures.plan import FuturesPlan
from smoke_vq.preparation.futures.prepare import prepare_futures
from smoke_vq.preparation.futures.rows import read_futures
from smoke_vq.simulation import PlumeSettings, simulate_futures, simulate_plumes

FLAGS = (
    "--futures 3 --starts 4 6 --num-members 4 --future-frames 5 --size 16 --dimensions 2 --background #102030 "
    "--device cpu"
)
SEED = 2_000_000_000


def call(folder, flags=""):
    return run("simulate_plumes.py", f"--output-dir {folder} {FLAGS} {flags}")


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("futures") / "whole"
    ended = call(folder, "--num-proc 1")
    assert ended.code == 0, ended.err
    return folder


def test_the_folder_is_a_dataset_with_card_and_contact_sheet(whole, tmp_path):
    assert sorted(path.name for path in whole.iterdir()) == [
        "README.md", "checksums.sha256", "contact_sheet.png", "data", "settings.json",
    ]  # fmt: skip
    assert [verdict.state for verdict in verify_folder(whole)] == [WHOLE]
    dataset = datasets.load_dataset(str(whole), split="test", cache_dir=str(tmp_path / "cache"))
    assert len(dataset) == 3 * (4 + 6 + 2 * 4 * 5)
    [plume] = simulate_plumes([SEED + 1], PlumeSettings(16, 11, 2, "#102030"))
    rows = dataset.filter(lambda row: (row["seed"], row["start"], row["member"]) == (SEED + 1, 6, 0))
    assert rows["frame"][:] == list(range(11)) and rows[0]["params"] == plume.params
    assert np.array_equal(np.stack(rows["image"][:]), plume.image)
    assert np.array_equal(np.stack(rows["alpha"][:]), plume.alpha)
    others = dataset.filter(lambda row: (row["seed"], row["start"], row["member"]) == (SEED + 1, 6, 2))
    assert others["frame"][:] == list(range(6, 11))
    frames = load_frames(str(whole), "test", size=16)
    assert len(frames) == len(dataset) and frames.sequences.unique().numel() == 3 * 2 * 4
    card = (whole / "README.md").read_text()
    assert "--futures 3 --starts 4 6 --num-members 4 --future-frames 5 --size 16" in card and "| 4 | 0." in card
    assert "2000000000 to\n2000000002" in card and str(whole.parent) not in card


def test_files_are_read_back_as_the_simulated_futures(whole):
    found = read_futures(whole / "data" / "test-00002-of-00003.parquet")
    assert [one.start for one in found] == [4, 6]
    expected = simulate_futures(SEED + 2, 6, 4, 5, PlumeSettings(16, dimensions=2, background="#102030"))
    for name, value in vars(expected).items():
        assert np.array_equal(getattr(found[1], name), value), name


def test_two_worker_processes_write_the_same_bits_as_one(whole, tmp_path):
    output = tmp_path / "two"
    assert call(output, "--num-proc 2").code == 0
    assert shards(output) == shards(whole)
    for name in ("README.md", "contact_sheet.png", "settings.json"):
        assert (output / name).read_bytes() == (whole / name).read_bytes()


def test_two_ranks_share_the_files_and_write_the_same_bits(whole, tmp_path):
    plan = FuturesPlan(PlumeSettings(16, dimensions=2, background="#102030"), 3, (4, 6), 4, 5)
    prepare_futures(plan, tmp_path / "ranks", rank=1, world_size=2)
    assert list(shards(tmp_path / "ranks")) == ["test-00001-of-00003.parquet"]
    assert not (tmp_path / "ranks" / "README.md").exists()
    prepare_futures(plan, tmp_path / "ranks", rank=0, world_size=2)
    assert shards(tmp_path / "ranks") == shards(whole)
    assert (tmp_path / "ranks" / "README.md").read_bytes() == (whole / "README.md").read_bytes()


def test_only_missing_files_are_written(whole, tmp_path):
    output = tmp_path / "copy"
    (output / "data").mkdir(parents=True)
    for path in whole.rglob("*.*"):
        os.link(path, output / path.relative_to(whole))
    (output / "data" / "test-00001-of-00003.parquet").unlink()
    before = {path: path.stat().st_mtime_ns for path in output.glob("data/*")}
    assert call(output, "--num-proc 1").code == 0
    assert shards(output) == shards(whole)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--futures 0", "num_plumes is 0"),
        ("--starts 6 4", "starts are [6, 4]"),
        ("--seed 5", "start at 5: expected seeds from 2000000000"),
        ("--num-frames 100", "--num-frames has no effect with --futures"),
        ("--validation-frames 0", "--validation-frames has no effect with --futures"),
        ("--future-frames 1000000000", "GB free"),
    ],
)
def test_invalid_input_ends_in_one_sentence_and_writes_nothing(tmp_path, flags, words):
    ended = call(tmp_path / "new", flags)
    assert ended.code == 2 and words in ended.err and ended.err.startswith("error: ")
    assert not list(tmp_path.glob("new/data/*"))


def test_options_of_futures_are_refused_without_futures(tmp_path):
    ended = run("simulate_plumes.py", f"--output-dir {tmp_path / 'new'} --num-members 4")
    assert ended.code == 2 and "--num-members has no effect without --futures" in ended.err


def test_a_folder_of_other_futures_is_refused(whole):
    ended = call(whole, "--num-members 5")
    assert ended.code == 2 and "started with other settings (num_members 4, not 5)" in ended.err
