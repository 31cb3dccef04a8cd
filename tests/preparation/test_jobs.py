import time

import pytest
from job_functions import exit_at_once, sleep_or_fail, square, write_too_much

from smoke_vq.preparation.jobs import run_jobs, settings_hash


def jobs_of(values, tmp_path):
    return {f"file {value}": (value, str(tmp_path / "log")) for value in values}


def test_an_interrupted_run_writes_only_the_missing_files(tmp_path):
    jobs, folder = jobs_of([1, 2, -1, 3], tmp_path), tmp_path / "work"
    with pytest.raises(RuntimeError, match="negative"):
        run_jobs(square, folder, jobs)
    del jobs["file -1"]
    run_jobs(square, folder, jobs)
    assert (tmp_path / "log").read_text().split() == ["1", "2", "3"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"file 1": "1", "file 2": "4", "file 3": "9"}


@pytest.mark.parametrize("num_proc", [1, 2])
def test_temporary_files_of_a_killed_run_are_removed(tmp_path, num_proc):
    jobs, folder = jobs_of([1, 2], tmp_path), tmp_path / "work"
    folder.mkdir()
    (folder / "file 2.99.tmp").write_text("incomplete")
    run_jobs(square, folder, jobs, num_proc)
    assert {path.name for path in folder.iterdir()} == set(jobs)


def test_each_rank_runs_its_share(tmp_path, capsys):
    jobs, folder = jobs_of(range(5), tmp_path), tmp_path / "work"
    run_jobs(square, folder, jobs, rank=1, world_size=2)
    assert {path.name for path in folder.iterdir()} == {"file 1", "file 3"} and capsys.readouterr().err == ""
    run_jobs(square, folder, jobs, rank=0, world_size=2, sizes=dict.fromkeys(jobs, 10))
    assert (tmp_path / "log").read_text().split() == ["1", "3", "0", "2", "4"]
    assert "50/50" in capsys.readouterr().err


def test_an_exception_ends_the_other_processes_at_once(tmp_path):
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="failed"):
        run_jobs(sleep_or_fail, tmp_path, {"slow": (600,), "failing": (0,)}, num_proc=2)
    assert time.monotonic() - start < 60 and not list(tmp_path.iterdir())


def test_a_full_disk_and_a_dead_process_are_reported_in_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"is incomplete \(No space left on device\): 0 of 1 files are finished"):
        run_jobs(write_too_much, tmp_path, {"a": ()})
    with pytest.raises(OSError, match=r"is incomplete \(a worker process died, possibly because it ran out of memory"):
        run_jobs(exit_at_once, tmp_path, {"a": (), "b": ()}, num_proc=2)


def test_the_hash_changes_with_any_setting():
    assert settings_hash({"size": 64, "gain": 1}) == settings_hash({"gain": 1, "size": 64})
    assert settings_hash({"size": 64}) != settings_hash({"size": 32})
