"""Signs of life of an unattended run: a file for schedulers, and an end of a process that hangs."""

import contextlib
import faulthandler
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: running the command again may help


class Heartbeat:
    """`heartbeat.json` with `step`, `num_steps`, `phase`, `time` (UTC, ISO 8601) and `pid`, replaced atomically.

    A step is recorded at most every `INTERVAL` seconds, a change of phase at once.

    Args:
        path: of the file; None, as on all processes except the main one, writes nothing.
    """

    INTERVAL = 10.0

    def __init__(self, path: Path | None, num_steps: int):
        self.path, self.num_steps = path, num_steps
        self.phase, self.written = "", -self.INTERVAL

    def beat(self, step: int, phase: str) -> None:
        now = time.monotonic()
        if self.path is None or (phase == self.phase and now - self.written < self.INTERVAL):
            return
        self.phase, self.written = phase, now
        stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
        content = {"step": step, "num_steps": self.num_steps, "phase": phase, "time": stamp, "pid": os.getpid()}
        temporary = self.path.with_suffix(".partial")
        try:
            temporary.write_text(json.dumps(content) + "\n")
            temporary.replace(self.path)
        except OSError:  # a full disk is reported by what needs to be written
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


class HangWatch:
    """Ends the process if a step is not finished within `limit` seconds, and prints where it hangs.

    A process that waits for another one, for a data worker or for a disk cannot end itself. The launcher then stops
    the other processes.

    Args:
        limit: seconds; 0 waits for ever.
        describe: what is awaited, for the message.
    """

    def __init__(self, limit: float, describe: Callable[[], str]):
        self.limit, self.describe = limit, describe
        self.deadline = float("inf")
        self.ended = threading.Event()

    def __enter__(self) -> "HangWatch":
        if self.limit > 0:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.ended.set()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """The part of the training that is watched."""
        self.deadline = time.monotonic() + self.limit
        try:
            yield
        finally:
            self.deadline = float("inf")

    def _watch(self) -> None:
        while not self.ended.wait(min(1.0, self.limit / 4)):
            if time.monotonic() > self.deadline:
                message = (
                    f"\nerror: {self.describe()} has not finished within {self.limit:g} seconds (--hang-timeout).\n"
                )
                os.write(2, message.encode())
                with contextlib.suppress(Exception):
                    faulthandler.dump_traceback(2, all_threads=True)
                os._exit(EXIT_STATUS)
