"""Pushes while a training goes on: the newest best model, in the background, and the finished one at the end."""

import shutil
import sys
import tempfile
import threading
from pathlib import Path

from .card import SAMPLES
from .provenance import write_provenance
from .push import PREFIX, link_model, open_repo, push_model, stage_model


class Publisher:
    """Pushes to the repository that the arguments name; does nothing without one, or on another process than the main.

    A push of the best model so far works on hard links to its files, in a thread, so that the training goes on and may
    replace them. While one is under way only the newest of those that wait is kept. One that fails is said, and the
    training goes on.

    Args:
        arguments: of the training: push_to_hub, hub_model_id, hub_private, and the rest for the card.

    Raises:
        ValueError: at once, if nobody is logged in or the user may not write there.
    """

    def __init__(self, arguments, is_main_process: bool = True):
        self.arguments = arguments
        self.repo_id = arguments.hub_model_id if arguments.push_to_hub and is_main_process else None
        self.lock, self.thread, self.waiting = threading.Lock(), None, None
        if self.repo_id is not None:
            open_repo(self.repo_id, private=arguments.hub_private)

    def push_best(self, result) -> None:
        """Push the best model as it is now, soon.

        Args:
            result: the trainer's, not evaluated yet.
        """
        if self.repo_id is None:
            return
        run = result.folder.parent
        # Removed at the latest where the process ends.
        snapshot = tempfile.TemporaryDirectory(dir=run, prefix=PREFIX, ignore_cleanup_errors=True)
        folder = Path(snapshot.name)
        link_model(result.folder, folder)
        shutil.copyfile(run / SAMPLES, folder / SAMPLES)  # a copy: it is written over in its place
        write_provenance(
            folder,
            self.arguments,
            step=result.step,
            seconds=result.seconds,
            validation_frames=result.validation_frames,
            finished=False,
        )
        with self.lock:
            replaced, self.waiting = self.waiting, snapshot
            if self.thread is None:
                # Not awaited if the process ends: a push that breaks off leaves the repository as it was.
                self.thread = threading.Thread(target=self._push_waiting, daemon=True)
                self.thread.start()
        if replaced is not None:
            replaced.cleanup()

    def finish(self, result) -> None:
        """Push the finished model, behind the push that is under way.

        Raises:
            OSError: it did not arrive; the folder is whole.
        """
        if self.repo_id is None:
            return
        with self.lock:
            waiting, self.waiting = self.waiting, None
            thread = self.thread
        if waiting is not None:
            waiting.cleanup()
        if thread is not None:
            thread.join()
        again = f"`python scripts/push_to_hub.py --folder {result.folder} --repo-id {self.repo_id}` pushes it"
        with stage_model(result.folder, self.repo_id) as stage:
            print(f"Pushed: {push_model(stage, self.repo_id, again=again)}")

    def _push_waiting(self) -> None:
        while True:
            with self.lock:
                snapshot, self.waiting = self.waiting, None
                if snapshot is None:
                    self.thread = None
                    return
            try:
                with stage_model(snapshot.name, self.repo_id) as stage:
                    push_model(stage, self.repo_id, message="Upload best model so far", again="the training goes on")
            except (OSError, ValueError) as error:
                print(f"\n{error}", file=sys.stderr)
            finally:
                snapshot.cleanup()
