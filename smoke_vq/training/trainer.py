"""The training loop: batches, accumulation, validation, checkpoints and progress, for any objective."""

import dataclasses
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from .. import layout
from ..data.loader import FrameLoader
from ..evaluation.evaluator import Evaluation
from ..metrics import figure_of
from .arguments import OptimizationArguments, TrainingArguments
from .checkpoint import load_checkpoint, read_state, save_checkpoint
from .export import export_model, update_model
from .objective import Evaluator, Objective, is_better
from .run_folder import RunFolder
from .run_log import History, SampleSheet, log_picture, start_trackers
from .running_means import RunningMeans
from .stop_signals import StopSignals


@dataclasses.dataclass
class Result:
    """The folder and step of the best model, and the duration of the training in seconds.

    validation_frames: the fingerprint of the validation data.
    evaluation: on all validation data; None before the training has finished.
    """

    folder: Path
    step: int
    seconds: float
    validation_frames: str
    evaluation: Evaluation | None = None


class Trainer:
    """Runs an objective over a loader.

    The run's folder holds `checkpoints/`, `best/` and `last/` (exported models with averaged weights), `history.jsonl`,
    `samples.png` (one row of samples per validation) and `training_arguments.yaml`.

    After Ctrl-C or SIGTERM the current step is finished, a checkpoint is written and KeyboardInterrupt is raised.

    Args:
        objective: built with the same accelerator.
        num_steps: optimizer steps of the complete training, see `count_steps`.
        on_best: called on the main process after each new best model is exported; the training waits for it.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        objective: Objective,
        loader: FrameLoader,
        evaluator: Evaluator,
        arguments: TrainingArguments,
        num_steps: int,
        on_best: Callable[[Result], None] | None = None,
    ):
        self.accelerator, self.objective, self.loader = accelerator, objective, loader
        self.evaluator, self.arguments, self.num_steps = evaluator, arguments, num_steps
        self.on_best = on_best
        self.folder = RunFolder(accelerator, arguments, self._say)
        self.step = self.epoch = self.batch = 0  # the next micro-batch is number `batch` of `epoch`
        self.seconds = 0.0
        self.best: dict[str, float] = {}  # figures of the best validation, and its step
        self.losses = RunningMeans(accelerator)
        self.stop_signals = StopSignals()
        self.first_bad_step = torch.tensor(0, device=accelerator.device)
        self.history = History(self.folder.path / layout.HISTORY, accelerator)
        self.samples = SampleSheet(self.folder.path / layout.SAMPLE_ROWS)
        self.frames_per_step = (
            arguments.data.batch_size * arguments.optimization.gradient_accumulation_steps * accelerator.num_processes
        )

    @staticmethod
    def count_steps(arguments: OptimizationArguments, loader: FrameLoader) -> int:
        """Optimizer steps of the complete training.

        Raises:
            ValueError: an epoch is shorter than one step.
        """
        per_epoch = len(loader) // arguments.gradient_accumulation_steps
        if per_epoch == 0:
            raise ValueError(
                f"An epoch of {len(loader)} batches is shorter than one step of "
                f"{arguments.gradient_accumulation_steps} micro-batches."
            )
        return arguments.epochs * per_epoch if arguments.max_steps is None else arguments.max_steps

    def train(self) -> Result | None:
        """Train to the end, or until Ctrl-C or SIGTERM.

        Returns:
            The result on the main process, None on the others.

        Raises:
            ValueError: before the first step, if the folder holds another run or the run cannot be resumed with these
                arguments; later, if a loss is not finite.
        """
        checkpoint = self.folder.find_checkpoint()
        history_size = 0 if checkpoint is None else self._restore(checkpoint)
        self.accelerator.wait_for_everyone()
        started = time.perf_counter() - self.seconds
        self.objective.begin_training(self.loader.epoch(0), self.step)
        start_trackers(self.accelerator, self.arguments)
        self.folder.open(checkpoint)
        if self.accelerator.is_main_process:
            self.history.truncate(history_size)
            self.samples.truncate(self.step)
        self.accelerator.wait_for_everyone()
        if self.step == 0 and self.objective.starts_trained:
            self._validate()
        elif self.step == 0:
            self._record_samples()
        if self.step < self.num_steps:
            with self.stop_signals, self._progress() as bar:
                while self.step < self.num_steps:
                    self._train_epoch(bar, started)
                self._check_finite()
        self.seconds = time.perf_counter() - started
        return self._finish()

    def _train_epoch(self, bar: tqdm, started: float) -> None:
        run, accumulation = self.arguments.run, self.arguments.optimization.gradient_accumulation_steps
        per_epoch = len(self.loader) // accumulation
        micro_batches = self.loader.epoch(self.epoch, self.batch)
        networks = [player.network for player in self.objective.players.values()]
        for _ in range(per_epoch - self.batch // accumulation):
            batches = list(islice(micro_batches, accumulation))
            self.objective.begin_step(batches, self.step + 1)
            for batch in batches:
                with self.accelerator.accumulate(*networks):
                    losses = self.objective.step(batch)
                self.losses.add(losses)
                self._note_bad_step(losses["total"])
            self.step += 1
            self.batch += accumulation
            self.objective.end_step(self.step)
            self.seconds = time.perf_counter() - started
            bar.update()
            if self.step % self.arguments.tracking.logging_steps == 0 or self.step == self.num_steps:
                self._log(bar)
            if self.step == self.num_steps:
                break
            self._stop_if_asked()
            if self._checkpoint_is_due() and self.batch < per_epoch * accumulation:
                self._checkpoint()
        if self.batch == per_epoch * accumulation:
            self.epoch, self.batch = self.epoch + 1, 0
        last = self.step == self.num_steps
        if last or self.epoch % run.validation_epochs == 0:
            self._validate()
        if last or self.epoch % run.checkpointing_epochs == 0 or self._checkpoint_is_due():
            self._checkpoint()

    def _checkpoint_is_due(self) -> bool:
        every = self.arguments.run.checkpointing_steps
        return every is not None and self.step % every == 0

    # Logging

    def _log(self, bar: tqdm) -> None:
        self._check_finite()
        losses = self.losses.means()
        rates = {f"lr/{name}": player.learning_rate for name, player in self.objective.players.items()}
        images_per_second = (bar.format_dict["rate"] or 0.0) * self.frames_per_step
        figures = {f"train/{name}": loss for name, loss in losses.items()} | rates
        self.history.add(self.step, figures | {"images_per_second": images_per_second})
        shown = {name: losses[name] for name in ("total", *self.objective.progress) if name in losses}
        bar.set_postfix({name: f"{loss:.4g}" for name, loss in shown.items()} | {"img/s": f"{images_per_second:.0f}"})

    def _note_bad_step(self, total: torch.Tensor) -> None:
        """Keep, on the device, the first step whose total loss is not finite."""
        bad = ~torch.isfinite(total) & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, self.step + 1, self.first_bad_step)

    def _check_finite(self, weights: bool = False) -> None:
        """Raise ValueError if a loss was not finite or, with `weights`, if a weight is not finite."""
        if weights:
            parameters = [p for player in self.objective.players.values() for p in player.network.parameters()]
            good = torch.stack([torch.isfinite(p).all() for p in parameters]).all()
            self.first_bad_step = torch.where(good | (self.first_bad_step > 0), self.first_bad_step, self.step)
        bad = int(self.accelerator.reduce(self.first_bad_step, "sum"))
        if bad == 0:
            return
        self.accelerator.end_training()
        last = self.folder.last_checkpoint()
        kept = "There is no checkpoint yet" if last is None else f"The last good checkpoint is {last}"
        raise ValueError(
            f"The loss was not a finite number at step {int(self.first_bad_step) or bad}. {kept}; try a lower --lr or "
            f"--mixed-precision no{'' if last is None else ' with --resume-from-checkpoint latest'}."
        )

    def _progress(self) -> tqdm:
        return tqdm(
            total=self.num_steps,
            initial=self.step,
            desc=self.arguments.run.run_name,
            unit="step",
            disable=not self.accelerator.is_main_process,
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def _say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            tqdm.write(text)

    # Validation and export

    def _validate(self) -> None:
        self._check_finite(weights=True)
        with self.objective.player.averaged() as model:
            figures = self.evaluator.validate(model)
            self.history.add(self.step, {f"validation/{name}": value for name, value in figures.items()})
            shown = [figure_of(name).phrase(figures[name]) for name in self.objective.summary if name in figures]
            place = f"epoch {self.epoch}, step {self.step}" if self.step > 0 else "before training"
            self._say(f"{place}: {', '.join(shown)}")
            for alarm in self.objective.alarms(figures):
                self._say(f"ALARM: {alarm}")
            # An older run may lack figures that describe the validation data, such as the coverage.
            best = self.objective.score(figures | self.best) if self.best else None
            is_best = self.objective.is_complete() and is_better(self.objective.score(figures), best)
            if is_best:
                self._export(model, layout.BEST, {"step": self.step, **figures})
        self._record_samples()
        if is_best and self.on_best is not None and self.accelerator.is_main_process:
            self.on_best(self._result())

    def _record_samples(self) -> None:
        with self.objective.player.averaged() as model:
            frames = self.evaluator.samples(model)
        if frames is not None and self.accelerator.is_main_process:
            sheet = self.samples.add(self.step, frames, self.evaluator.targets())
            log_picture(self.accelerator, "samples", sheet, self.step)

    def _export(self, model: torch.nn.Module, name: str, validation: dict[str, float]) -> None:
        if name == layout.BEST:
            self.best = validation
        if self.accelerator.is_main_process:
            export_model(model, self.folder.path / name, validation, self.objective.companions())

    def _finish(self) -> Result | None:
        best_folder = self.folder.path / layout.BEST
        with self.objective.player.averaged() as model:
            self._export(model, layout.LAST, {"step": self.step})
            if not self.best:
                self._say(f"No validation qualified as the best: {best_folder} holds the last model.")
                self._export(model, layout.BEST, {"step": self.step})
            elif self.best["step"] == 0:
                self._say(f"No validation was better than the one before training: {best_folder} holds that model.")
            self.accelerator.wait_for_everyone()
            best = type(model).from_pretrained(best_folder)
        best.to(self.accelerator.device).eval()
        self.objective.finish(best, self.loader)
        if self.accelerator.is_main_process:
            update_model(best, best_folder)
            try:
                update_model(best, best_folder, "fp16")
            except ValueError as error:
                self._say(f"No fp16 variant is saved: {error}")
        evaluation = self.evaluator.evaluate(best)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self._result(evaluation) if self.accelerator.is_main_process else None

    def _result(self, evaluation: Evaluation | None = None) -> Result:
        folder = self.folder.path / layout.BEST
        return Result(folder, int(self.best["step"]), self.seconds, self.evaluator.fingerprint, evaluation)

    # Checkpoints and stopping

    def _restore(self, checkpoint: Path) -> int:
        """Continue from a checkpoint; returns the size of the history at that time."""
        state = read_state(checkpoint)
        if state["num_processes"] != self.accelerator.num_processes:
            raise ValueError(
                f"{checkpoint} was written by {state['num_processes']} process(es) and cannot be continued with "
                f"{self.accelerator.num_processes}."
            )
        if state["data"] != self.loader.frames.fingerprint():
            raise ValueError(f"The training data are not those of {checkpoint}.")
        load_checkpoint(self.accelerator, checkpoint)
        for player in self.objective.players.values():
            player.restored()
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.seconds = state["seconds"]
        self.losses.restore(state["sums"])
        # The exported model may be newer than the checkpoint, so its figures are read from its own folder.
        best = self.folder.path / layout.BEST / layout.VALIDATION
        figures = json.loads(best.read_text()) if best.is_file() else {}
        self.best = figures if len(figures) > 1 else {}  # with its step alone it is the last one, for want of a better
        self._say(f"Resumed from {checkpoint}, step {self.step} of {self.num_steps}.")
        return state["history_size"]

    def _checkpoint(self) -> None:
        self._check_finite(weights=True)
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "history_size": self.history.size,
            "sums": self.losses.state(),
            "num_processes": self.accelerator.num_processes,
            "data": self.loader.frames.fingerprint(),
        }
        limit = self.arguments.run.checkpoints_total_limit
        save_checkpoint(self.accelerator, self.folder.checkpoints, self.step, state, limit)

    def _stop_if_asked(self) -> None:
        """After Ctrl-C or SIGTERM (sent by clusters) on any process, write a checkpoint and stop all processes."""
        asked = self.stop_signals.received
        if self.accelerator.num_processes > 1:
            asked = bool(self.accelerator.reduce(torch.tensor(int(asked), device=self.accelerator.device), "sum"))
        if not asked:
            return
        self._checkpoint()
        self._say(
            f"Stopped at step {self.step} of {self.num_steps}. Continue with the same command and "
            f"--resume-from-checkpoint latest."
        )
        self.accelerator.end_training()
        raise KeyboardInterrupt
