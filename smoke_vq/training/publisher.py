"""Pushes of a training: the newest best model while it goes on, in the background, and the finished one at the end."""

import json
import shlex
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from accelerate import Accelerator
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from ..hub.card import write_card
from ..hub.model_folder import check_text, link_model, stage_model
from ..hub.provenance import describe_training, public_arguments, write_provenance
from ..hub.push import open_repo, push_model
from ..layout import METRICS, PICTURE, SAMPLES
from ..metrics import markdown_table

PREFIX = ".best-"


class Publisher:
    """Completes the folder of a finished training and, if the arguments name a repository, pushes to it.

    A push of the best model so far works on hard links to its files, in a thread, so that the training goes on and may
    replace them. While one is under way only the newest of those that wait is kept. One that fails is said, and the
    training goes on.

    Made when the data are loaded. Only the main process pushes.

    Args:
        arguments: of the training: push_to_hub, hub_model_id, hub_private, and the rest for the card.

    Raises:
        ValueError: nobody is logged in, the user may not write there, or the card would name a local path.
    """

    def __init__(self, accelerator: Accelerator, arguments):
        self.arguments, self.training = arguments, describe_training(arguments, accelerator.num_processes)
        self.repo_id = arguments.hub_model_id if arguments.push_to_hub and accelerator.is_main_process else None
        self.lock, self.thread, self.waiting = threading.Lock(), None, None
        if self.repo_id is not None:
            check_text(json.dumps([self.training, public_arguments(arguments)]), "The card")
            open_repo(self.repo_id, private=arguments.hub_private)
            disable_progress_bars()  # those of uploads, which would tear the training's own
            if arguments.resume:
                for killed in arguments.run_folder.glob(f"{PREFIX}*"):
                    shutil.rmtree(killed)

    def push_best(self, result) -> None:
        """Push the best model as it is now, soon.

        Args:
            result: the trainer's, not evaluated yet.
        """
        if self.repo_id is None:
            return
        try:
            snapshot = self._take_snapshot(result)
        except OSError as error:
            print(f"\nThe best model is not pushed: {error}", file=sys.stderr)
            return
        with self.lock:
            replaced, self.waiting = self.waiting, snapshot
            if self.thread is None:
                # Not awaited if the process ends: a push that breaks off leaves the repository as it was.
                self.thread = threading.Thread(target=self._push_waiting, daemon=True)
                self.thread.start()
        if replaced is not None:
            replaced.cleanup()

    def finish(self, result) -> None:
        """Complete the model's folder with figures, pictures, provenance and card, print the table, and push.

        Args:
            result: the trainer's, evaluated.

        Raises:
            OSError: it did not arrive; the folder is whole.
        """
        folder, evaluation = result.folder, result.evaluation
        columns = {"this model": evaluation.metrics} | evaluation.baselines
        (folder / METRICS).write_text(json.dumps(columns, indent=2) + "\n")
        evaluation.picture.save(folder / PICTURE)
        shutil.copyfile(folder.parent / SAMPLES, folder / SAMPLES)
        write_provenance(folder, self.training, self.arguments, result)
        write_card(folder)
        print(f"\n{markdown_table(columns)}\n\nBest model (step {result.step}), card and pictures: {folder}")
        if self.repo_id is not None:
            self._await_pushes()
            enable_progress_bars()
            command = f"python scripts/push_to_hub.py --folder {shlex.quote(str(folder))} --repo-id {self.repo_id}"
            print(f"Pushed: {self._push(folder, 'Upload model', f'{folder} is whole, and `{command}` pushes it')}")

    def _take_snapshot(self, result) -> tempfile.TemporaryDirectory:
        """The best model's folder, with what its card needs, in a folder that goes with the process at the latest."""
        run = result.folder.parent
        snapshot = tempfile.TemporaryDirectory(dir=run, prefix=PREFIX, ignore_cleanup_errors=True)
        folder = Path(snapshot.name, "model")
        folder.mkdir()
        link_model(result.folder, folder)
        shutil.copyfile(run / SAMPLES, folder / SAMPLES)  # a copy: it is written over in its place
        write_provenance(folder, self.training, self.arguments, result)
        return snapshot

    def _await_pushes(self) -> None:
        """Forget what waits, and wait for what is under way."""
        with self.lock:
            waiting, self.waiting = self.waiting, None
            thread = self.thread
        if waiting is not None:
            waiting.cleanup()
        if thread is not None:
            thread.join()

    def _push_waiting(self) -> None:
        while True:
            with self.lock:
                snapshot, self.waiting = self.waiting, None
                if snapshot is None:
                    self.thread = None
                    return
            try:
                self._push(Path(snapshot.name, "model"), "Upload best model so far", "the training goes on")
            except Exception as error:  # whatever it is, it must not end the pushes that follow
                print(f"\n{error}", file=sys.stderr)
            finally:
                snapshot.cleanup()

    def _push(self, folder: Path, message: str, again: str) -> str:
        with stage_model(folder) as stage:
            write_card(stage, self.repo_id)
            return push_model(stage, self.repo_id, message=message, again=again)
