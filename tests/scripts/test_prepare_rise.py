import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from synthetic_clips import write_video
from training_runs import ROOT, Script, on_one_core, run

from smoke_vq.downloads.verify import WHOLE, verify_folder

SCRIPT = ROOT / "scripts" / "prepare_rise.py"
SHARED = Path(os.environ.get("SMOKE_VQ_SHARED", ROOT.parent / "shared")) / "rise"
for module in ("av", "cv2", "datasets", "pymatting"):
    pytest.importorskip(module)


def frames_of_puffs(seed, count=12, side=96):
    """White puffs over a still, textured scene: (T, H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    scene = np.kron(generator.uniform(0.1, 0.35, (side // 4, side // 4)), np.ones((4, 4)))[..., None].repeat(3, -1)
    rows, columns = np.mgrid[:side, :side]
    frames = []
    for row, column in generator.uniform(0.2 * side, 0.8 * side, (count, 2)):
        alpha = 0.9 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * (side / 9) ** 2))[..., None]
        frames.append((1 - alpha) * scene + 0.9 * alpha)
    return np.rint(255 * np.stack(frames)).astype(np.uint8)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(4):
        write_video(folder / f"clip{seed}.mp4", frames_of_puffs(seed))
    return folder


@pytest.fixture
def rise(videos, tmp_path):
    """Train and validation in RISE's layout."""
    for split, clips in {"train": (0, 1, 2), "validation": (3,)}.items():
        (tmp_path / split / "videos").mkdir(parents=True)
        records = []
        for seed in clips:
            os.link(videos / f"clip{seed}.mp4", tmp_path / split / "videos" / f"clip{seed}.mp4")
            records.append({"file_name": f"clip{seed}", "label_state": 47, "label_state_admin": -1, "camera_id": seed})
        (tmp_path / split / f"metadata_{split}.json").write_text(json.dumps(records))
    return tmp_path


def call(*arguments):
    """Run the script in this process and return its exit status and stderr."""
    ended = run("prepare_rise.py", " ".join(map(str, arguments)))
    return ended.code, ended.err


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


def test_rise_folders_become_a_dataset(rise, tmp_path):
    import datasets

    output = tmp_path / "smoke"
    status, message = call(
        "--split", f"train={rise / 'train'}", "--split", f"validation={rise / 'validation'}",
        "--output-dir", output, "--num-proc", 2, "--size", 32,
    )  # fmt: skip
    assert status == 0, message
    loaded = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    rows = list(loaded["train"])
    order = [(row["clip_id"], row["frame_index"]) for row in rows]
    assert order == sorted(order)
    assert {row["label"] for row in rows} == {47} and {row["camera"] for row in rows} == {0, 1, 2}
    assert {row["view"] for row in rows} == {row["time"] for row in rows} == {None}
    for row in rows:
        image, alpha = np.array(row["image"]), np.array(row["alpha"])
        assert image.shape == (32, 32, 3) and alpha.shape == (32, 32) and image.dtype == alpha.dtype == np.uint8
        assert (image[alpha == 0] == 0).all() and 0.0003 <= (alpha >= 8).mean() <= 0.85
    assert not (output / ".clips").exists() and (output / "contact_sheet.png").stat().st_size > 1000
    assert json.loads((output / "dropped.json").read_text()) == []
    (verdict,) = verify_folder(output)
    assert (verdict.state, verdict.reason) == (WHOLE, "5 file(s) as checksums.sha256 records them.")
    for path in output.rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path.name


def test_the_dataset_does_not_depend_on_processes_or_interruptions(videos, tmp_path):
    options = ("--input", videos, "--validation-fraction", 0.25, "--size", 32)
    assert call(*options, "--output-dir", tmp_path / "whole")[0] == 0
    stopped = (*options, "--output-dir", tmp_path / "stopped")
    script = Script([SCRIPT, *stopped, "--num-proc", 2], on_one_core())
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("stopped/.clips/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    script.send_signal(signal.SIGINT)
    assert script.wait(60).code == 130 and not (tmp_path / "stopped" / "README.md").exists()
    assert list(tmp_path.glob("stopped/.clips/train/*.json")) and not list(tmp_path.glob("stopped/**/*.tmp"))
    status, bar = call(*stopped)
    assert status == 0 and "/3" in bar and "0/3" not in bar, "finished clips are not cut out again"
    assert shards(tmp_path / "stopped") == shards(tmp_path / "whole")
    card = (tmp_path / "whole/README.md").read_text()
    assert "license: unknown" in card and "RISE" not in card.partition("## Preparation")[0]


def test_a_truncated_clip_is_listed_and_the_others_are_kept(rise, tmp_path):
    path = rise / "train" / "videos" / "clip1.mp4"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    output = tmp_path / "smoke"
    status, _ = call("--split", f"train={rise / 'train'}", "--output-dir", output, "--size", 32)
    assert status == 0
    dropped = json.loads((output / "dropped.json").read_text())
    assert [(entry["clip_id"], entry["reason"]) for entry in dropped] == [("clip1", "unreadable")]
    assert "clip: unreadable | 1" in (output / "README.md").read_text()


def test_invalid_input_ends_in_one_sentence(rise, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.mp4").write_text("not a video")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    train, output = f"train={rise / 'train'}", tmp_path / "smoke"
    for options, words in [
        (("--split", f"train={tmp_path / 'absent'}"), "absent"),
        (("--split", f"train={tmp_path / 'empty'}"), "contains no videos"),
        (("--split", "train"), "NAME=SOURCE"),
        (("--split", train, "--split", train), "NAME=SOURCE"),
        (("--split", train, "--split", f"test={rise / 'train'}"), "in two splits"),
        (("--split", train, "--labels", "32"), "its labels are [47]"),
        (("--split", train, "--labels", "smoke"), "labels are smoke"),
        (("--split", train, "--size", "0"), "size is 0"),
        (("--split", train, "--num-proc", "0"), "num-proc is 0"),
        (("--split", train, "--videos", tmp_path / "empty"), "contains no videos"),
        (("--split", train, "--output-dir", tmp_path / "taken"), "other files ('thesis.tex')"),
        (("--input", tmp_path / "broken"), "Cannot read 'a.mp4'"),
        (("--input", rise / "train/videos/clip0.mp4"), "has 12 frames, too few to split"),
        (("--split", train, "--clip-frames", "1"), "clip-frames is 1"),
        (("--split", train, "--fps", "0"), "fps expects"),
        (("--split", train, "--max-frames", "0"), "max-frames expects"),
        (("--split", f"train={tmp_path / 'broken'}"), "unreadable: 1"),
        (("--split", train, "--size", "128"), "too small: 3"),
    ]:
        status, message = call("--output-dir", output, *options)
        assert status == 2 and words in message, (options, message)
        assert message.splitlines()[-1].startswith("error: ") and "Traceback" not in message
        assert not (output / "README.md").exists()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """80 frames of a wide video, 12 per second."""
    path = tmp_path_factory.mktemp("long") / "plume.mp4"
    frames = frames_of_puffs(7, 80)
    write_video(path, np.concatenate([frames, frames[:, :, :32]], axis=2))
    return path


def test_one_video_becomes_clips_and_its_end_validation(long_video, tmp_path):
    import datasets

    output = tmp_path / "smoke"
    options = ("--input", long_video, "--validation-fraction", 0.25, "--size", 32, "--clip-frames", 40)
    status, message = call(*options, "--output-dir", output)
    assert status == 0, message
    loaded = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    ids = {split: sorted(set(rows["clip_id"])) for split, rows in loaded.items()}
    assert ids == {"train": ["plume-000000", "plume-000040"], "validation": ["plume-000060"]}
    assert max(loaded["train"]["frame_index"]) < 60 <= min(loaded["validation"]["frame_index"])
    assert "more than 40 frames are divided" in (output / "README.md").read_text()


def test_frame_rate_and_number_of_frames_can_be_set(long_video, tmp_path):
    import datasets

    output = tmp_path / "smoke"
    options = ("--split", f"train={long_video}", "--size", 32, "--fps", 6, "--max-frames", 30)
    status, message = call(*options, "--output-dir", output)
    assert status == 0, message
    rows = datasets.load_dataset(str(output), split="train", cache_dir=str(tmp_path / "cache"))
    assert set(rows["clip_id"]) == {"plume"} and 20 < len(rows) <= 30 and max(rows["frame_index"]) < 30
    assert "at 6 frames per second" in (output / "README.md").read_text()


def test_the_contact_sheet_shows_why_every_clip_is_dropped_and_keep_all_keeps_them(tmp_path):
    from PIL import Image

    (tmp_path / "videos").mkdir()
    dusk = frames_of_puffs(1, 24) * np.linspace(0.4, 1, 24)[:, None, None, None]
    write_video(tmp_path / "videos/dusk.mp4", dusk.astype(np.uint8))
    write_video(tmp_path / "videos/still.mp4", frames_of_puffs(2, 1).repeat(16, 0))
    output = tmp_path / "smoke"
    options = ("--split", f"train={tmp_path / 'videos'}", "--size", 32, "--output-dir", output)
    status, message = call(*options)
    assert status == 2 and "light change: 1" in message and "no smoke: 1" in message, message
    assert f"'{output / 'contact_sheet.png'}' shows them, and --keep-all" in message
    assert Image.open(output / "contact_sheet.png").height > 250, "two rows"
    assert len(json.loads((output / "dropped.json").read_text())) == 2 and not (output / "README.md").exists()
    status, message = call(*options, "--keep-all")
    assert status == 0, message
    assert "are **kept**: light change (1)" in (output / "README.md").read_text()


def test_the_pushed_dataset_loads_from_the_hub(hub, rise, tmp_path):
    import datasets

    output = tmp_path / "smoke"
    options = ("--split", f"train={rise / 'train'}", "--split", f"validation={rise / 'validation'}", "--size", 32)
    status, message = call(*options, "--push-to-hub", "user/rise", "--private", "--output-dir", output)
    assert status == 0 and hub.repository("user/rise", "dataset").private, message
    local = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    files = hub.files("user/rise", repo_type="dataset")
    assert files == local | {".gitattributes": files[".gitattributes"]}
    assert len(hub.commits("user/rise", repo_type="dataset")) == 2
    loaded = datasets.load_dataset("user/rise")
    expected = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == set(expected) == {"train", "validation"}
    for split, rows in expected.items():
        assert loaded[split].features == rows.features and loaded[split]["clip_id"][:] == rows["clip_id"][:]


def test_missing_write_access_is_reported_before_the_cut_out(hub, rise, tmp_path, monkeypatch):
    hub.create("other/rise", "dataset")
    options = ("--split", f"train={rise / 'train'}", "--output-dir", tmp_path / "smoke", "--push-to-hub")
    status, message = call(*options, "other/rise")
    assert status == 2 and message.startswith("error: Cannot push to 'other/rise': 403")
    monkeypatch.delenv("HF_TOKEN")
    status, message = call(*options, "user/rise")
    assert status == 2 and message.startswith("error: Cannot push to 'user/rise': not logged in")
    assert not (tmp_path / "smoke").exists() and len(hub.repositories) == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared RISE clips are missing (SMOKE_VQ_SHARED)")
def test_real_clips_give_smoke_on_black(tmp_path):
    import datasets

    records = json.loads((SHARED / "validation" / "metadata_validation.json").read_text())
    chosen = [record for record in records if record["label_state"] == 23][:60:12]
    (tmp_path / "some.json").write_text(json.dumps(chosen))
    status, message = call(
        "--split", f"train={tmp_path / 'some.json'}",
        "--videos", SHARED / "validation" / "videos", "--output-dir", tmp_path / "smoke",
    )  # fmt: skip
    assert status == 0, message
    frames = datasets.load_dataset(str(tmp_path / "smoke"), split="train", cache_dir=str(tmp_path / "cache"))
    alphas = np.stack([np.array(alpha) for alpha in frames["alpha"]])
    assert len(set(frames["clip_id"])) >= 3 and len(frames) > 60
    assert (alphas == 0).mean() > 0.5 and alphas.max() > 150
