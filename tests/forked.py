"""Scripts in processes that are forked from one with the libraries imported, which saves seconds of imports.

A process has its own environment, working folder, signals and exit status, as if a shell had started it; what the
libraries read when they are imported (HF_HOME, HF_ENDPOINT, OMP_NUM_THREADS) is that of the tests.
"""

import atexit
import dataclasses
import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
import threading
from multiprocessing import forkserver
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = multiprocessing.get_context("forkserver")
SERVER = forkserver.ForkServer()  # beside the one of this process, which worker pools start
SERVER.set_forkserver_preload(
    [
        "datasets",
        "torchmetrics",
        "diffusers.training_utils",
        "smoke_vq.training",
        "smoke_vq.models.auto",
        "smoke_vq.evaluation.forecasts.evaluator",
    ]
)


@dataclasses.dataclass
class Ended:
    code: int
    out: str
    err: str


class Script:
    """A running script.

    Args:
        words: the script, or "-m" and a module, and its arguments.
        environment: complete, as for `subprocess`.
    """

    def __init__(self, words: list, environment: dict[str, str]):
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = Path(self._folder.name, "out"), Path(self._folder.name, "err")
        words = [str(word) for word in words]
        self._process = CONTEXT.Process(target=_run, args=(words, environment, self._out, self._err))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setattr(forkserver, "connect_to_new_process", SERVER.connect_to_new_process)
            self._process.start()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self, seconds: float = 240) -> Ended:
        """Wait until it ends, and return the exit status (negative: a signal) and the output.

        Raises:
            TimeoutError: with the end of its messages; the process is killed.
        """
        self._process.join(seconds)
        lasts = self.is_running
        self.kill()
        ended = Ended(self._process.exitcode, self._out.read_text(), self._err.read_text())
        self._folder.cleanup()
        if lasts:
            raise TimeoutError(f"The script has not ended after {seconds} seconds: {ended.err[-3000:]}")
        return ended

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def ranks(count: int) -> list[dict[str, str]]:
    """The environment variables by which torchrun tells each of its processes on this machine where the others are."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def _run(words: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    from tqdm import tqdm

    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(ROOT)
    tqdm.set_lock(threading.RLock())  # forks would share one, which a kill can leave locked
    is_module = words[0] == "-m"
    sys.argv[:] = words[is_module:]
    sys.path.insert(0, "" if is_module else os.path.dirname(words[0]))
    try:
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
