"""Completing the folder of a trained model, and pushing the best model during and after training."""

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from ..hub.card import CardText, write_card
from ..hub.private_texts import check_text
from ..hub.provenance import public_arguments, write_provenance
from ..hub.push import open_repo, push_folder
from ..hub.staging import link_model, stage_model
from ..layout import METRICS, PICTURE, SAMPLES
from ..metrics import markdown_table
from .run_folder import SNAPSHOT


class Publisher:
    """Completes the folder of a finished model and, if `repo_id` is given, pushes models to the Hub.

    Each new best model is pushed in the background, from hard links to its files, which training may replace
    meanwhile. Of the models that wait, only the newest is pushed. A failed push is printed, and training continues. The
    process exits only after its pushes.

    Create it before training, so that a missing permission is reported early.

    Args:
        card_text: of the model's class.
        training: facts from `describe_training`.
        arguments: of the training, by name.
        repo_id: repository to push to; None, as on all processes except the main one, pushes nothing.
        private: create a private repository.
        describe: returns further facts about the model of a step, for example its `recipe`.

    Raises:
        ValueError: not logged in, the user may not write there, or the card would contain a local path.
    """

    def __init__(
        self,
        card_text: CardText,
        training: dict[str, Any],
        arguments: dict[str, Any],
        repo_id: str | None = None,
        private: bool = False,
        describe: Callable[[int], dict[str, Any]] = lambda step: {},
    ):
        self.card_text, self.training, self.arguments = card_text, training, public_arguments(arguments)
        self.repo_id, self.describe = repo_id, describe
        self.api = HfApi()
        self.push: Future | None = None
        self.snapshot: tempfile.TemporaryDirectory | None = None
        if repo_id is not None:
            check_text(json.dumps([self.training, self.arguments]), "The card")
            open_repo(repo_id, private=private)
            disable_progress_bars()  # they would interrupt the progress bar of the training

    def push_best(self, result) -> None:
        """Start a push of the current best model.

        Args:
            result: the trainer's result, not evaluated yet.
        """
        if self.repo_id is None:
            return
        try:
            snapshot = self._take_snapshot(result)
        except OSError as error:
            print(f"\nThe best model was not pushed: {error}", file=sys.stderr)
            return
        self._forget_waiting()
        self.snapshot, self.push = snapshot, self.api.run_as_future(self._push_snapshot, snapshot)

    def finish(self, result) -> None:
        """Add figures, pictures, provenance and card to the model's folder, print the table, and push.

        Args:
            result: the trainer's result, with its evaluation.

        Raises:
            OSError: the push failed; the folder is complete.
            KeyboardInterrupt: Ctrl-C or SIGTERM; the folder is complete, the repository has all of the push or nothing.
        """
        folder, evaluation = result.folder, result.evaluation
        columns = {"this model": evaluation.metrics} | evaluation.baselines
        (folder / METRICS).write_text(json.dumps(columns, indent=2) + "\n")
        if evaluation.picture is not None:
            evaluation.picture.save(folder / PICTURE)
        self._add_samples_and_facts(folder, result)
        write_card(folder, self.card_text)
        print(f"\n{markdown_table(columns)}\n\nBest model (step {result.step}), card and pictures: {folder}")
        if self.repo_id is not None:
            self._forget_waiting()
            command = f"smoke-vq push --folder {shlex.quote(str(folder))} --repo-id {self.repo_id}"
            try:
                self.api.run_as_future(dict).result()  # waits for a push in progress: there is one worker
                enable_progress_bars()
                print(f"Pushed: {self._push(folder, 'Upload model', f'to push {folder}, run `{command}`')}")
            except KeyboardInterrupt:
                print(
                    f"Stopped before the push to '{self.repo_id}' was complete. Continue with the same command and "
                    f"--resume-from-checkpoint latest, or run `{command}`."
                )
                raise

    def _take_snapshot(self, result) -> tempfile.TemporaryDirectory:
        """A temporary folder with the best model and what its card needs."""
        snapshot = tempfile.TemporaryDirectory(dir=result.folder.parent, prefix=SNAPSHOT, ignore_cleanup_errors=True)
        folder = Path(snapshot.name, "model")
        folder.mkdir()
        link_model(result.folder, folder)
        self._add_samples_and_facts(folder, result)
        return snapshot

    def _add_samples_and_facts(self, folder: Path, result) -> None:
        samples = result.folder.parent / SAMPLES
        if samples.is_file():
            (folder / SAMPLES).unlink(missing_ok=True)  # may be a link
            shutil.copyfile(samples, folder / SAMPLES)  # a copy, because the original is overwritten in place
        write_provenance(folder, self.training | self.describe(result.step), self.arguments, result)

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *exception) -> None:
        """A training that stops does not wait for the push of a model whose turn has not come."""
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        # cancel returns False once the push has started
        if self.push is not None and self.snapshot is not None and self.push.cancel():
            self.snapshot.cleanup()

    def _push_snapshot(self, snapshot: tempfile.TemporaryDirectory) -> None:
        try:
            self._push(Path(snapshot.name, "model"), "Upload best model so far", "training continues")
        except Exception as error:  # no failure may end the training
            print(f"\n{error}", file=sys.stderr)
        finally:
            snapshot.cleanup()

    def _push(self, folder: Path, message: str, retry: str) -> str:
        assert self.repo_id is not None
        with stage_model(folder) as stage:
            write_card(stage, self.card_text, self.repo_id)
            return push_folder(stage, self.repo_id, message=message, retry=retry)
