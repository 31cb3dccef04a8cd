"""Ctrl-C and SIGTERM as a wish to stop after the step, with a checkpoint."""

import os
import signal
import time


class StopSignals:
    """Ctrl-C and SIGTERM while it is open: the first asks (`received`), a later Ctrl-C interrupts at once.

    A launcher passes on to its processes the Ctrl-C that the terminal has told them already: an echo within ECHO
    seconds does not count.
    """

    ECHO = 2.0

    def __init__(self):
        self.received = False
        self.first = 0.0
        self.previous = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, self._handle)

    def __exit__(self, *exception) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _handle(self, number, frame) -> None:
        if not self.received:
            self.received, self.first = True, time.monotonic()
            # Not print: the signal may have come in the middle of one.
            os.write(2, b"\nStopping after this step, with a checkpoint (Ctrl-C again: at once, without).\n")
        elif number == signal.SIGINT and time.monotonic() - self.first > self.ECHO:
            raise KeyboardInterrupt
