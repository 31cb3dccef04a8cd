"""scripts/pack_dataset.py on a small Parquet folder."""

from training_runs import run

from smoke_vq.data.sources import load_frames
from smoke_vq.downloads.checksums import read_checksums
from smoke_vq.downloads.verify import DAMAGED, WHOLE, verify_folder


def test_packed_frames_are_those_of_the_dataset(dataset_folder, tmp_path):
    out = tmp_path / "packed"
    ended = run("pack_dataset.py", f"--dataset {dataset_folder} --size 16 --output-dir {out}")
    assert ended.code == 0, ended.err
    assert f"{out}/train.safetensors: 24 frames" in ended.out
    for split in ("train", "validation"):
        expected = load_frames(str(dataset_folder), split, size=16)
        assert load_frames(str(out), split, size=16).fingerprint() == expected.fingerprint()


def test_packed_files_have_checksums_also_one_after_the_other(dataset_folder, tmp_path):
    out, flags = tmp_path / "packed", f"--dataset {dataset_folder} --size 16"
    for split in ("train", "validation", "train"):
        assert run("pack_dataset.py", f"{flags} --splits {split} --output-dir {out}").code == 0
    assert read_checksums(out).keys() == {"train.safetensors", "validation.safetensors"}
    assert [verdict.state for verdict in verify_folder(out)] == [WHOLE]
    with (out / "train.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    (verdict,) = verify_folder(out)
    assert verdict.state == DAMAGED and "train.safetensors has the sha256" in verdict.reason
