"""A checkpoint is complete or does not exist."""

import shutil

import pytest

from smoke_vq.training.checkpoint import list_checkpoints, read_state, save_checkpoint
from smoke_vq.training.nested_state import NestedState
from smoke_vq.training.snapshot import load_snapshot


@pytest.fixture
def folder(accelerator, tmp_path):
    for step in (5, 10):
        accelerator.network.weight.data.fill_(step)
        save_checkpoint(accelerator, tmp_path / "checkpoints", step, {"step": step}, keep=2)
    return tmp_path / "checkpoints"


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(accelerator, folder):
    for path, step in zip(list_checkpoints(folder), (5, 10), strict=True):
        assert read_state(path) == {"step": step}
        load_snapshot(accelerator, path)
        assert (accelerator.network.weight == step).all()


def test_rotation_keeps_the_newest(accelerator, folder):
    save_checkpoint(accelerator, folder, 15, {"step": 15}, keep=2)
    assert names(folder) == ["checkpoint-00000010", "checkpoint-00000015"]
    save_checkpoint(accelerator, folder, 20, {"step": 20}, keep=1)
    assert names(folder) == ["checkpoint-00000020"]


def test_every_flipped_byte_is_refused_with_the_name_of_its_file(folder):
    newest = list_checkpoints(folder)[-1]
    files = [path for path in newest.iterdir() if path.name != "manifest.json"]
    assert len(files) >= 4
    for path in files:
        content = path.read_bytes()
        broken = bytearray(content)
        broken[len(broken) // 2] ^= 1
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=f"is damaged: {path.name} has changed; delete it to use an older one"):
            read_state(newest)
        path.write_bytes(content)
    read_state(newest)


def test_every_missing_file_is_refused_with_its_name(folder):
    newest = list_checkpoints(folder)[-1]
    for path in [path for path in newest.iterdir() if path.name != "manifest.json"]:
        aside = path.rename(folder / "aside")
        with pytest.raises(ValueError, match=f"{path.name} is missing from the checkpoint"):
            read_state(newest)
        aside.rename(path)


@pytest.mark.parametrize("content", [None, "", "{", '{"trainer_state.json": '])
def test_a_missing_or_truncated_manifest_is_refused(folder, content):
    manifest = list_checkpoints(folder)[-1] / "manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    with pytest.raises(ValueError, match=r"has no readable manifest\.json; delete it to use an older one"):
        read_state(manifest.parent)


def test_a_kill_while_writing_leaves_the_older_one(accelerator, folder, monkeypatch):
    def half(self, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NestedState, "write", half)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(accelerator, folder, 15, {"step": 15}, keep=1)
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-00000005", "checkpoint-00000010"]
    assert read_state(list_checkpoints(folder)[-1]) == {"step": 10}
    save_checkpoint(accelerator, folder, 15, {"step": 15}, keep=2)  # and removes the incomplete one
    assert names(folder) == ["checkpoint-00000010", "checkpoint-00000015"]


def test_a_kill_at_any_rename_leaves_a_complete_one(accelerator, folder, monkeypatch):
    real, calls = shutil.rmtree, []

    def die(path, **kwargs):
        calls.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(accelerator, folder, 15, {"step": 15}, keep=1)
    monkeypatch.setattr(shutil, "rmtree", real)
    assert calls and read_state(list_checkpoints(folder)[-1]) == {"step": 15}


def test_writing_a_step_again_replaces_it(accelerator, folder):
    save_checkpoint(accelerator, folder, 10, {"step": 10, "again": True}, keep=2)
    assert names(folder) == ["checkpoint-00000005", "checkpoint-00000010"]
    assert read_state(list_checkpoints(folder)[-1])["again"]


def test_other_files_in_the_folder_are_kept(folder):
    (folder / "checkpoint-00000010.bak").mkdir()
    (folder / "checkpoint-best").mkdir()
    (folder / "notes.txt").write_text("")
    assert [path.name for path in list_checkpoints(folder)] == ["checkpoint-00000005", "checkpoint-00000010"]


def test_a_missing_folder_has_no_checkpoints(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []
