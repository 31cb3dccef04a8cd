"""scripts/simulate_plumes.py with small two-dimensional plumes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import datasets
import numpy as np
import pytest
from PIL import Image
from training_runs import ROOT, Script, fork, on_one_core, run

from smoke_vq.data.sources import load_frames

SCRIPT = ROOT / "scripts" / "simulate_plumes.py"
# 4 simulations for train (the last one has 2 frames) and 1 for validation, each in its own shard.
QUICK = [
    *("--size", "16", "--dimensions", "2", "--frames-per-simulation", "4", "--num-frames", "14"),
    *("--validation-frames", "3", "--simulations-per-shard", "1", "--num-proc", "1", "--device", "cpu"),
]
SHARDS = [*(f"train-0000{index}-of-00004.parquet" for index in range(4)), "validation-00000-of-00001.parquet"]


def command(*arguments) -> list:
    return [SCRIPT, *QUICK, *arguments]


def call(*arguments):
    """Run the script in this process and return its exit status and stderr."""
    ended = run(SCRIPT.name, " ".join(map(str, command(*arguments)[1:])))
    return ended.code, ended.err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished folder, and the stderr of the run."""
    folder = tmp_path_factory.mktemp("plumes") / "whole"
    return folder, fork(command("--output-dir", folder)).err


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


def test_the_folder_is_a_dataset_with_card_contact_sheet_and_animation(whole, tmp_path):
    folder, bar = whole
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "animation.webp", "checksums.sha256", "contact_sheet.png", "data", "settings.json",
    ]  # fmt: skip
    assert list(shards(folder)) == SHARDS
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    train = loaded["train"]
    assert train["frame"][:] == [0, 1, 2, 3] * 3 + [0, 1] and train["seed"][::4] == [0, 1, 2, 3]
    assert train["sequence_id"][0] == "plume-0000000000" and train[0]["params"]["seed"] == 0
    assert loaded["validation"]["seed"][:] == [1_000_000_000] * 3
    packed = load_frames(str(folder), "train", size=16)
    assert len(packed) == 14 and packed.alphas.max() > 100
    assert np.array_equal(packed.images[5].numpy(), np.array(train[5]["image"]))
    with Image.open(folder / "animation.webp") as film:
        assert film.n_frames == 4 and film.info["loop"] == 0 and film.size == (4 * 128 + 3 * 2, 128)
    card = (folder / "README.md").read_text()
    assert "license: cc0-1.0" in card and "| train | 4 | 14 | 0 to 3 |" in card and "--size 16 --dimensions 2" in card
    assert "17/17" in bar and "frames/s" in bar
    for path in folder.rglob("*"):
        assert path.is_dir() or str(folder.parent).encode() not in path.read_bytes(), path.name


def test_damage_of_a_parquet_file_is_found_by_verify(whole, tmp_path):
    output = shutil.copytree(whole[0], tmp_path / "plumes")
    ended = run("verify.py", str(output))
    assert ended.code == 0 and ended.out.startswith("whole ") and "9 file(s) as checksums.sha256 records" in ended.out
    content = bytearray((output / "data" / SHARDS[1]).read_bytes())
    content[len(content) // 2] ^= 1
    (output / "data" / SHARDS[1]).write_bytes(content)
    ended = run("verify.py", str(output))
    assert ended.code == 1 and ended.out.startswith("damaged ") and ended.out.count("\n") == 1
    assert f"data/{SHARDS[1]} has the sha256" in ended.out
    (output / "data" / SHARDS[1]).unlink()
    assert call("--output-dir", output)[0] == 0
    assert run("verify.py", str(output)).code == 0, "the same command writes it again"
    (output / "README.md").unlink()  # as after a kill before the last file
    assert "README.md is missing" in run("verify.py", str(output)).out


def test_two_launched_processes_with_two_workers_each_write_the_same_bits(whole, tmp_path):
    output = tmp_path / "two"
    done = fork(command("--output-dir", output, "--num-proc", 2), processes=2)
    assert shards(output) == shards(whole[0])
    assert (output / "README.md").read_text() == (whole[0] / "README.md").read_text()
    assert done.out.count("is complete") == 1 and not list(output.rglob("*.tmp"))


@pytest.mark.parametrize(("num_proc", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_stopped_run_leaves_complete_shards_and_continues(tmp_path, num_proc, number):
    output = tmp_path / "stopped"
    long = ("--num-frames", 300, "--frames-per-simulation", 20, "--output-dir", output)
    script = Script(command(*long, "--num-proc", num_proc), on_one_core())
    deadline = time.monotonic() + 120
    while not list(output.glob("data/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    script.send_signal(number)
    stopped = script.wait(60)
    assert stopped.code == 130 and stopped.err.endswith("Stopped.\n") and "Traceback" not in stopped.err
    finished = {path: path.stat().st_mtime_ns for path in (output / "data").iterdir()}
    assert 0 < len(finished) < 16 and all(path.suffix == ".parquet" for path in finished)
    assert not (output / "README.md").exists() and not list(output.rglob("*.tmp"))
    for path in finished:
        assert len(datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))) in (20, 3)
    (output / "data" / f"{next(iter(finished)).name}.1.tmp").write_text("incomplete")
    assert call(*long)[0] == 0
    assert len(shards(output)) == 16 and all(path.stat().st_mtime_ns == then for path, then in finished.items())


def test_only_missing_shards_of_a_finished_folder_are_written(whole, tmp_path):
    output = tmp_path / "copy"
    (output / "data").mkdir(parents=True)
    for path in whole[0].rglob("*.*"):
        os.link(path, output / path.relative_to(whole[0]))
    (output / "data" / SHARDS[2]).unlink()
    card = (output / "README.md").read_text()
    assert call("--output-dir", output)[0] == 0
    assert shards(output) == shards(whole[0]) and (output / "README.md").read_text() == card
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.*")}
    assert call("--output-dir", output)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.*")} == before


def test_invalid_input_ends_in_one_sentence_and_writes_nothing(whole, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    (tmp_path / "words.txt").write_text("not an image")
    for options, words in [
        (("--size", 0), "size is 0"),
        (("--num-frames", 0), "num-frames is 0"),
        (("--num-frames", -5), "num-frames is -5"),
        (("--validation-frames", -1), "validation-frames is -1"),
        (("--frames-per-simulation", 0), "num_frames is 0"),
        (("--simulations-per-shard", 0), "simulations-per-shard is 0"),
        (("--num-proc", 0), "num-proc is 0"),
        (("--dimensions", 4), "dimensions is 4"),
        (("--background", "blakc"), "background is 'blakc'"),
        (("--background", tmp_path / "words.txt"), "is not an image"),
        (("--seed", -1), "seeds of train start at -1"),
        (("--validation-seed", 3), "train (0 to 3) and validation (3 to 3) overlap"),
        (("--num-frames", 10**11, "--frames-per-simulation", 10**6), "GB free"),
        (("--push-to-hub", "plumes"), "expected 'user/name'"),
        (("--push-to-hub", "user/a..b"), "an invalid name"),
        (("--push-to-hub", "user/plumes"), "Cannot push to 'user/plumes': not logged in"),
        (("--output-dir", tmp_path / "words.txt"), "is a file"),
        (("--output-dir", tmp_path / "foreign"), "other files ('thesis.tex')"),
        (("--output-dir", whole[0], "--seed", 5), "started with other settings (seed 0, not 5)"),
    ]:
        status, message = call("--output-dir", tmp_path / "new", *options)
        assert status == 2 and words in message, (options, message)
        assert message.splitlines()[-1].startswith("error: ") and "Traceback" not in message
        assert not (tmp_path / "new" / "README.md").exists() and not list(tmp_path.glob("new/data/*"))


def test_a_full_disk_is_reported_in_one_sentence_and_leaves_complete_shards(tmp_path):
    """A limit on the size of files replaces the full disk: a shard of one frame fits, one of sixty does not."""
    output, limit = tmp_path / "full", 50_000
    words = command("--num-frames", 61, "--frames-per-simulation", 60, "--output-dir", output, "--num-proc", 2)
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=on_one_core(), capture_output=True, text=True, timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert (
        message.startswith(f"error: '{output / 'data'}' is incomplete (File too large): ")
        and "of 3 files are finished" in message
    )
    assert all(path.suffix == ".parquet" and path.stat().st_size < limit for path in (output / "data").iterdir())
    assert not list(output.rglob("*.tmp"))


def test_the_same_command_repeats_a_failed_push(hub, whole):
    push = " ".join(map(str, command("--output-dir", whole[0], "--push-to-hub", "user/plumes", "--private")[1:]))
    before = shards(whole[0])
    full = hub.fault("POST .*/commit/", status=507)
    failed = run(SCRIPT.name, push)
    assert failed.code == 2 and hub.repository("user/plumes", "dataset").private
    assert full.count == 1 and list(hub.files("user/plumes", repo_type="dataset")) == [".gitattributes"]
    assert "the repository is unchanged" in failed.err.splitlines()[-1]
    assert "Traceback" not in failed.err and shards(whole[0]) == before
    full.remove()
    older = hub.put("user/plumes", {"data/train-00000-of-00001.parquet": b"an older one"}, repo_type="dataset")
    pushed = run(SCRIPT.name, push)
    assert pushed.code == 0 and "/datasets/user/plumes" in pushed.out
    assert hub.commits("user/plumes", repo_type="dataset")[0].parent is older
    files = hub.files("user/plumes", repo_type="dataset")
    local = {str(path.relative_to(whole[0])): path.read_bytes() for path in whole[0].rglob("*") if path.is_file()}
    assert files == local | {".gitattributes": files[".gitattributes"]}


def test_missing_write_access_is_reported_before_the_simulation(hub, tmp_path):
    hub.create("other/plumes", "dataset")
    status, message = call("--output-dir", tmp_path / "plumes", "--push-to-hub", "other/plumes")
    assert status == 2 and message.startswith("error: Cannot push to 'other/plumes'") and "403" in message
    assert not (tmp_path / "plumes").exists() and len(message.splitlines()) == 1


def test_the_background_image_is_recorded_without_its_path(tmp_path):
    picture = tmp_path / "sky.png"
    Image.new("RGB", (16, 16), (90, 120, 200)).save(picture)
    output = tmp_path / "plumes"
    flags = ("--output-dir", output, "--background", picture, "--num-frames", 2)
    assert call(*flags, "--validation-frames", 0)[0] == 0
    settings = json.loads((output / "settings.json").read_text())
    assert settings["background"] == "sky.png" and str(tmp_path) not in (output / "README.md").read_text()
    frames = load_frames(str(output), size=16)
    blue = frames.images[(frames.alphas == 0).expand(-1, -1, -1)]
    assert len(frames) == 2 and (blue[:, 2] > blue[:, 0]).all()
    Image.new("RGB", (16, 16), "red").save(picture)
    status, message = call(*flags, "--validation-frames", 0)
    assert status == 2 and "background_sha256" in message
