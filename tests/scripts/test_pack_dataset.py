"""scripts/pack_dataset.py on a small Parquet folder."""

from training_runs import run

from smoke_vq.data.sources import load_frames


def test_packed_frames_are_those_of_the_dataset(dataset_folder, tmp_path):
    out = tmp_path / "packed"
    ended = run("pack_dataset.py", f"--dataset {dataset_folder} --size 16 --output-dir {out}")
    assert ended.code == 0, ended.err
    assert f"{out}/train.safetensors: 24 frames" in ended.out
    for split in ("train", "validation"):
        expected = load_frames(str(dataset_folder), split, size=16)
        assert load_frames(str(out), split, size=16).fingerprint() == expected.fingerprint()
