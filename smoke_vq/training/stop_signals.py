"""Stopping with a checkpoint at Ctrl-C or SIGTERM, which clusters send."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator


class Stopped(BaseException):
    """Raised by a signal in an interruptible part of a training."""


class StopSignals:
    """Context manager: the first Ctrl-C or SIGTERM sets `received`, a later Ctrl-C raises KeyboardInterrupt.

    Launchers forward a Ctrl-C that the terminal has already sent to their processes, so a second one within ECHO
    seconds is ignored.
    """

    ECHO = 2.0

    def __init__(self):
        self.received = self.is_interruptible = False
        self.first = 0.0
        self.previous = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, self._handle)

    def __exit__(self, *exception) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """A long part that changes nothing, such as a validation: a signal raises `Stopped` in it at once."""
        if self.received:
            raise Stopped
        self.is_interruptible = True
        try:
            yield
        finally:
            self.is_interruptible = False

    def _handle(self, number, frame) -> None:
        if not self.received:
            self.received, self.first = True, time.monotonic()
            # os.write, because the signal may interrupt a print, which cannot be nested.
            os.write(2, b"\nStopping after this step, with a checkpoint (Ctrl-C again stops at once, without one).\n")
            if self.is_interruptible:
                raise Stopped
        elif number == signal.SIGINT and time.monotonic() - self.first > self.ECHO:
            raise KeyboardInterrupt
