"""Training one run of a comparison in a process of its own, which continues where it was interrupted."""

import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from pathlib import Path

from smoke_vq.layout import BEST, CARD, CHECKPOINTS

from . import peers

TRAIN = Path(__file__).resolve().parent.parent / "train_vqvae.py"

# A clean process that has imported the slow packages and is forked for each run.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["smoke_vq.training", "smoke_vq.models.vqvae"])


class RunFailed(RuntimeError):
    """A training ended with an error."""


def train(folder: Path, configuration: Path, seed: int, flags: list[str], with_peers: bool) -> Path:
    """Train, or continue, the run in `folder` unless it is complete, and return the folder of its best model.

    The training writes to `folder` with the ending .log. Checkpoints of a complete run are deleted. At Ctrl-C or
    SIGTERM the training writes a checkpoint first.

    Raises:
        RunFailed: the training ended with an error; the message is its last line.
    """
    best, log = folder / BEST, folder.with_suffix(".log")
    if not (best / CARD).is_file():  # written last
        log.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["--config", str(configuration), *flags, "--seed", str(seed), "--run-name", folder.name]
        arguments += ["--output-dir", str(folder.parent), "--resume-from-checkpoint", "latest"]
        process = SERVER.Process(target=_run_script, args=(arguments, log, with_peers))
        process.start()
        try:
            process.join()
        except KeyboardInterrupt:
            process.terminate()
            process.join()
            raise
        if process.exitcode != 0:
            lines = log.read_text().strip().splitlines() or [f"exit status {process.exitcode}"]
            raise RunFailed(f"{lines[-1]} (see {log})")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return best


def _run_script(arguments: list[str], log: Path, with_peers: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes a Ctrl-C on as SIGTERM
    with open(log, "a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    if with_peers:
        peers.register()
    sys.argv = [str(TRAIN), *arguments]
    runpy.run_path(str(TRAIN), run_name="__main__")
