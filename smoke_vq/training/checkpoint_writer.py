"""Checkpoints that are written in the background while the training goes on."""

import threading
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator

from ..downloads.errors import first_line
from .checkpoint import list_checkpoints, write_snapshot
from .snapshot import Snapshot


class CheckpointWriter:
    """Writes the checkpoints of a run, at most one at a time.

    The training is held up by the copy of its state only. The main process writes; a kill at any moment leaves the
    older checkpoints. A write that fails is said and repeated at once, with the same state; a second failure ends the
    training.

    Args:
        keep: how many checkpoints to keep.
        in_background: write in a thread; otherwise `save` returns when the checkpoint is complete.
        say: prints a sentence.
    """

    def __init__(
        self, accelerator: Accelerator, folder: Path, keep: int, in_background: bool, say: Callable[[str], None]
    ):
        self.accelerator, self.folder, self.keep = accelerator, folder, keep
        self.in_background, self.say = in_background, say
        self.thread: threading.Thread | None = None
        self.failed: tuple[Snapshot, OSError] | None = None

    def save(self, step: int, state: dict, wait: bool = False) -> None:
        """Write the checkpoint of a step; called by all processes.

        Args:
            state: what the trainer needs to continue, as JSON.
            wait: until the checkpoint is complete.

        Raises:
            OSError: this or the previous checkpoint could not be written, twice.
        """
        self.wait()
        snapshot = Snapshot.take(self.accelerator, step, state)
        if self.accelerator.is_main_process:
            # A daemon, because a second Ctrl-C ends the process at once.
            self.thread = threading.Thread(target=self._try_to_write, args=(snapshot,), daemon=True)
            self.thread.start()
        if wait or not self.in_background:
            self.wait()
            self.accelerator.wait_for_everyone()

    def check(self) -> None:
        """Repeat a write that has failed; called between steps.

        Raises:
            OSError: it has failed again.
        """
        if self.failed is None:
            return
        (snapshot, error), self.failed = self.failed, None
        self.say(f"The checkpoint of step {snapshot.step} was not written ({first_line(error)}): trying again.")
        try:
            write_snapshot(snapshot, self.folder, self.keep)
        except OSError as again:
            raise OSError(f"The checkpoint of step {snapshot.step} cannot be written: {first_line(again)}") from again

    def wait(self) -> None:
        """Wait until the checkpoint under way is complete.

        Raises:
            OSError: it could not be written, twice.
        """
        self.join()
        self.check()

    def join(self) -> None:
        """Wait until the write under way has ended, well or not."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def last(self) -> Path | None:
        """The newest complete checkpoint."""
        return next(reversed(list_checkpoints(self.folder)), None)

    def advice(self, change: str = "") -> str:
        """A sentence about how to continue, with the newest complete checkpoint.

        Args:
            change: what to try.
        """
        self.join()
        last = self.last()
        if last is None:
            return f"There is no checkpoint yet{change and f'; try {change}'}."
        command = f"--resume-from-checkpoint latest{change and f' and {change}'}"
        return f"The last good checkpoint is {last}; continue with {command}."

    def _try_to_write(self, snapshot: Snapshot) -> None:
        try:
            write_snapshot(snapshot, self.folder, self.keep)
        except OSError as error:
            self.failed = (snapshot, error)
