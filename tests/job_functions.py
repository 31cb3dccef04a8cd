"""Functions that worker processes import; see preparation/test_jobs.py."""

import os
import time


def square(value: int, log: str) -> bytes:
    """The content of a file; each call adds a line to the log."""
    if value < 0:
        raise RuntimeError("negative")
    with open(log, "a") as handle:
        handle.write(f"{value}\n")
    return str(value**2).encode()


def sleep_or_fail(seconds: float) -> bytes:
    if seconds == 0:
        raise RuntimeError("failed")
    time.sleep(seconds)
    return b""


def exit_at_once() -> bytes:
    os._exit(1)


def write_too_much() -> bytes:
    raise OSError(28, "No space left on device")
