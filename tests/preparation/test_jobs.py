import os
import time
from binascii import hexlify

import pytest

from smoke_vq.preparation.jobs import run_jobs, settings_hash

JOBS = {name: (name.encode(),) for name in "abcde"}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_run_writes_only_the_missing_files(tmp_path):
    with pytest.raises(TypeError):
        run_jobs(hexlify, tmp_path, {"a": (b"a",), "b": (None,), "c": (b"c",)})
    assert contents(tmp_path) == {"a": b"61"}
    (tmp_path / "a").write_bytes(b"finished")
    run_jobs(hexlify, tmp_path, JOBS)
    assert contents(tmp_path) == {"a": b"finished", "b": b"62", "c": b"63", "d": b"64", "e": b"65"}


@pytest.mark.parametrize("num_proc", [1, 2])
def test_temporary_files_of_a_killed_run_are_removed(tmp_path, num_proc):
    (tmp_path / "b.99.tmp").write_text("incomplete")
    run_jobs(hexlify, tmp_path, JOBS, num_proc)
    assert contents(tmp_path).keys() == JOBS.keys()


def test_each_rank_runs_its_share(tmp_path, capsys):
    run_jobs(hexlify, tmp_path, JOBS, rank=1, world_size=2)
    assert contents(tmp_path).keys() == {"b", "d"} and capsys.readouterr().err == ""
    run_jobs(hexlify, tmp_path, JOBS, rank=0, world_size=2, sizes=dict.fromkeys(JOBS, 10))
    assert contents(tmp_path).keys() == JOBS.keys() and "50/50" in capsys.readouterr().err


def test_an_exception_ends_the_other_processes_at_once(tmp_path):
    start = time.monotonic()
    with pytest.raises(ValueError, match="sleep length"):
        run_jobs(time.sleep, tmp_path, {"slow": (600,), "failing": (-1,)}, num_proc=2)
    assert time.monotonic() - start < 60 and not contents(tmp_path)


def test_a_dead_worker_process_is_reported_in_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"incomplete \(a worker process died, .*\): 0 of 2 files are finished\. Run the"):
        run_jobs(os._exit, tmp_path, {"a": (1,), "b": (1,)}, num_proc=2)


def test_the_hash_changes_with_any_setting():
    assert settings_hash({"size": 64, "gain": 1}) == settings_hash({"gain": 1, "size": 64})
    assert settings_hash({"size": 64}) != settings_hash({"size": 32})
