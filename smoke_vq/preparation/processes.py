"""Worker processes that a preparation hands its work to."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_pool(function: Callable, num_proc: int) -> ProcessPoolExecutor:
    """Processes that share no threads with this one; a fork server imports once for all."""
    if "forkserver" in get_all_start_methods():
        context = get_context("forkserver")
        context.set_forkserver_preload([function.__module__])
    else:
        context = get_context("spawn")
    return ProcessPoolExecutor(num_proc, mp_context=context, initializer=start_worker)


def start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    from tqdm import tqdm

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a terminated process leaves behind
    threading.Thread(target=exit_with_parent, daemon=True).start()


def exit_with_parent() -> None:
    parent_process().join()
    os._exit(1)


@contextmanager
def impatient_pool(function: Callable, num_proc: int) -> Iterator[ProcessPoolExecutor]:
    """`start_pool`, whose processes end at once when the block ends by an exception, whatever they are doing."""
    others = set(active_children())
    pool = start_pool(function, num_proc)
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
