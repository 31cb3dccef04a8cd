"""Resumable jobs: each job writes one file, completely or not at all, and is skipped if its file exists.

An interrupted run therefore continues where it stopped, and processes that share a folder also share the work.
"""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from pathlib import Path

from .folder import remove_temporary_files, write_atomically

_POLL_SECONDS = 0.2


def run_jobs(
    function: Callable[..., bytes],
    folder: Path,
    jobs: dict[str, tuple],
    num_proc: int = 1,
    rank: int = 0,
    world_size: int = 1,
    sizes: dict[str, int] | None = None,
    description: str | None = None,
    unit: str = "files",
) -> None:
    """Write `function(*arguments)` to `folder / name` for each job whose file does not exist yet.

    Any exception, including KeyboardInterrupt, ends all worker processes at once. Finished files remain.

    Args:
        function: importable by name, so that worker processes can call it.
        jobs: arguments by file name.
        num_proc: worker processes; with 1, the jobs run in this process.
        rank, world_size: this process runs every `world_size`-th job, starting at `rank`. Rank 0 returns only when all
            files exist and shows their progress, including that of the other processes.
        sizes: progress that each job stands for, by file name (default: 1).
        description, unit: of the progress bar.

    Raises:
        OSError: a file could not be written, or a worker process died.
    """
    from tqdm.auto import tqdm

    sizes = sizes or dict.fromkeys(jobs, 1)
    folder.mkdir(parents=True, exist_ok=True)

    def finished() -> set[str]:
        return jobs.keys() & set(os.listdir(folder))

    def update() -> int:
        names = finished()
        bar.update(sum(sizes[name] for name in names) - bar.n)
        return len(names)

    before = finished()
    share = list(jobs)[rank::world_size]
    todo = [(function, folder / name, jobs[name]) for name in share if name not in before]
    total, initial = sum(sizes.values()), sum(sizes[name] for name in before)
    bar = tqdm(total=total, initial=initial, desc=description, unit=f" {unit}", disable=rank != 0)
    try:
        if min(num_proc, len(todo)) <= 1:
            for job in todo:
                _run_job(*job)
                update()
        else:
            with worker_pool(function, min(num_proc, len(todo))) as pool:
                pending = {pool.submit(_run_job, *job) for job in todo}
                while pending:
                    done, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    update()
        while rank == 0 and update() < len(jobs):
            time.sleep(_POLL_SECONDS)
    except (OSError, BrokenProcessPool) as error:
        died = "a worker process died, possibly because it ran out of memory"
        reason = died if isinstance(error, BrokenProcessPool) else error.strerror or error
        raise OSError(
            f"'{folder}' is incomplete ({reason}): {len(finished())} of {len(jobs)} files are finished. "
            "Run the same command again to continue."
        ) from error
    finally:
        bar.close()
        remove_temporary_files(folder, share)


def _run_job(function: Callable[..., bytes], path: Path, arguments: tuple) -> None:
    write_atomically(path, function(*arguments))


def settings_hash(settings: dict) -> str:
    """12 hexadecimal digits that change with any value of `settings`."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def num_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_pool(function: Callable, num_proc: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes for `function`, terminated at once if the block ends by an exception.

    They are not forked from this process, whose threads would not survive the fork.
    """
    if "forkserver" in get_all_start_methods():
        context = get_context("forkserver")
        context.set_forkserver_preload([function.__module__])
    else:
        context = get_context("spawn")
    others = set(active_children())
    pool = ProcessPoolExecutor(num_proc, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent process, and exit when it exits."""
    from tqdm import tqdm

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())  # the default lock is a system semaphore, which a terminated process would leak
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent_process().join()
    os._exit(1)
