"""Checkpoints in the background: complete or absent, whatever fails while they are written."""

import errno
import os
import threading
from pathlib import Path

import pytest
import torch

from smoke_vq import disk_space
from smoke_vq.training import checkpoint
from smoke_vq.training.checkpoint import list_checkpoints, read_state
from smoke_vq.training.checkpoint_writer import CheckpointWriter
from smoke_vq.training.nested_state import NestedState
from smoke_vq.training.snapshot import load_snapshot


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def writer(accelerator, tmp_path, said):
    """A writer with the complete checkpoint of step 5."""
    writer = CheckpointWriter(accelerator, tmp_path / "checkpoints", 2, True, said.append)
    writer.save(5, {"step": 5}, wait=True)
    return writer


def steps(writer) -> list[int]:
    """The steps of the complete checkpoints, each read and compared with its checksums."""
    return [read_state(path)["step"] for path in list_checkpoints(writer.folder)]


def test_the_state_is_that_of_the_call_and_the_training_goes_on(accelerator, writer, monkeypatch):
    go, real = threading.Event(), NestedState.write

    def slow(self, path):
        assert go.wait(30)
        real(self, path)

    monkeypatch.setattr(NestedState, "write", slow)
    accelerator.network.weight.data.fill_(10)
    writer.save(10, {"step": 10})
    accelerator.network.weight.data.fill_(11)
    assert steps(writer) == [5], "nothing is published before it is complete"
    go.set()
    writer.wait()
    assert steps(writer) == [5, 10]
    load_snapshot(accelerator, list_checkpoints(writer.folder)[-1])
    assert (accelerator.network.weight == 10).all()


def test_at_most_one_is_under_way(writer, monkeypatch):
    running, most, real = [], [], checkpoint.write_snapshot

    def counted(snapshot, *rest):
        running.append(snapshot.step)
        most.append(len(running))
        real(snapshot, *rest)
        running.remove(snapshot.step)

    monkeypatch.setattr("smoke_vq.training.checkpoint_writer.write_snapshot", counted)
    for step in (10, 15, 20):
        writer.save(step, {"step": step})
    writer.wait()
    assert most == [1, 1, 1] and steps(writer) == [15, 20]


# Everything that writes a checkpoint, with its owner.
OPERATIONS = [(NestedState, "write"), (Path, "write_text"), (Path, "rename"), (Path, "mkdir"), (os, "fsync")]


def fail(monkeypatch, at: int, times: int, number: int) -> list[str]:
    """Let operation `at` and the following ones, `times` in all, raise an OSError; returns the names of all."""
    ran: list[str] = []

    def faulty(real, name):
        def operation(*args, **kwargs):
            ran.append(name)
            if at < len(ran) <= at + times:
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return operation

    for owner, name in OPERATIONS:
        monkeypatch.setattr(owner, name, faulty(getattr(owner, name), name))
    return ran


def test_a_write_that_fails_once_is_said_and_repeated(writer, said, monkeypatch):
    with monkeypatch.context() as patch:
        operations = fail(patch, at=10**6, times=0, number=0)
        writer.save(10, {"step": 10}, wait=True)
    assert {"write", "write_text", "rename", "mkdir", "fsync"} <= set(operations)
    for at in range(len(operations)):
        with monkeypatch.context() as patch:
            fail(patch, at, times=1, number=errno.EIO)
            writer.save(11 + at, {"step": 11 + at}, wait=True)
        assert (
            said.pop()
            == f"The checkpoint of step {11 + at} was not written ([Errno 5] Input/output error): trying again."
        )
        assert steps(writer)[-1] == 11 + at and not list(writer.folder.glob("*.partial"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ENOENT])
def test_a_disk_that_stays_full_ends_in_one_sentence_and_keeps_the_older_one(writer, monkeypatch, number):
    with monkeypatch.context() as patch:
        fail(patch, at=3, times=10**6, number=number)
        with pytest.raises(OSError, match=rf"The checkpoint of step 10 cannot be written: .*{os.strerror(number)}"):
            writer.save(10, {"step": 10}, wait=True)
    assert steps(writer) == [5] and writer.last() == list_checkpoints(writer.folder)[0]


def test_a_failure_in_the_background_is_noticed_at_the_next_step(writer, said, monkeypatch):
    with monkeypatch.context() as patch:
        fail(patch, at=2, times=1, number=errno.ENOSPC)
        writer.save(10, {"step": 10})
        writer.join()
    assert steps(writer) == [5]
    writer.check()
    assert steps(writer) == [5, 10] and "trying again" in said[0]


def test_too_little_space_is_noticed_before_anything_is_written(writer, monkeypatch):
    full = disk_space.shutil.disk_usage(writer.folder)._replace(free=100)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: full)
    monkeypatch.setattr(NestedState, "write", lambda *args: pytest.fail("a file is written"))
    with pytest.raises(OSError, match=r"No space left on device: .* needs [1-9]\S*B, found 100B free"):
        writer.save(10, {"step": 10}, wait=True)
    assert steps(writer) == [5]


class Counter:
    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_a_registered_object_is_part_of_it(accelerator, tmp_path):
    counter = Counter()
    counter.count = 3
    accelerator.register_for_checkpointing(counter)
    checkpoint.save_checkpoint(accelerator, tmp_path, 1, {"step": 1}, keep=1)
    counter.count = 0
    load_snapshot(accelerator, tmp_path / "checkpoint-00000001")
    assert counter.count == 3


def test_a_state_of_another_training_is_refused(accelerator, writer):
    accelerator._models[0] = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"model\.safetensors of the checkpoint .* is not of this training: Error"):
        load_snapshot(accelerator, writer.last())


def test_an_older_checkpoint_is_unpickled_only_if_it_is_trusted(accelerator, tmp_path, pickle_allowed):
    accelerator.network.weight.data.fill_(7)
    accelerator.save_state(str(tmp_path / "old"))
    assert (tmp_path / "old/optimizer.bin").is_file()
    accelerator.network.weight.data.fill_(0)
    with pytest.raises(ValueError, match="pickle files, which can run any code when they are read: pass --trust"):
        load_snapshot(accelerator, tmp_path / "old")
    load_snapshot(accelerator, tmp_path / "old", trust_pickle=True)
    assert (accelerator.network.weight == 7).all()


def test_the_kernels_of_an_optimizer_are_those_of_the_machine(accelerator, tmp_path):
    """A checkpoint of a GPU, with fused kernels, continues where there are none."""
    group = accelerator._optimizers[0].optimizer.param_groups[0]
    group["fused"] = True
    checkpoint.save_checkpoint(accelerator, tmp_path, 1, {"step": 1}, keep=1)
    group["fused"], group["lr"] = None, 0.5
    load_snapshot(accelerator, tmp_path / "checkpoint-00000001")
    restored = accelerator._optimizers[0].optimizer.param_groups[0]
    assert restored["fused"] is None and restored["lr"] == 1e-3
