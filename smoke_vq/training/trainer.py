"""The training loop: batches, accumulation, validation, checkpoints and progress, for any objective."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from tqdm import tqdm

from .. import layout
from ..data.loader import FrameLoader
from ..downloads.errors import first_line
from ..evaluation.evaluator import Evaluation
from ..limits import read_json
from ..metrics import figure_of
from .arguments import OptimizationArguments, TrainingArguments
from .checkpoint import list_checkpoints, read_state
from .checkpoint_writer import CheckpointWriter
from .disk_space import check_space_for_run
from .export import export_model, update_model
from .heartbeat import HangWatch, Heartbeat
from .loss_guard import FiniteGuard, SpikeAlarm
from .objective import Batch, Evaluator, Objective, is_better
from .run_folder import RunFolder, frames_per_step
from .run_log import History, SampleSheet, log_picture, start_trackers
from .running_means import RunningMeans
from .snapshot import load_snapshot
from .stop_signals import Stopped, StopSignals


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
    `samples.png` (one row of samples per validation), `training_arguments.yaml` and `heartbeat.json`.

    After Ctrl-C or SIGTERM the current step is finished, a checkpoint is written and KeyboardInterrupt is raised. A
    validation on one process is interrupted, and repeated when the run is resumed.

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
        self.step = self.epoch = self.epoch_step = 0  # the next step is number `epoch_step` of `epoch`
        self.is_validated = True  # False from the last step before a validation until it is finished
        self.seconds = 0.0
        self.num_skipped = 0
        self.best: dict[str, float] = {}  # figures of the best validation, and its step
        self.losses = RunningMeans(accelerator)
        self.guard, self.spikes = FiniteGuard(accelerator), SpikeAlarm()
        self.stop_signals = StopSignals()
        self.history = History(self.folder.path / layout.HISTORY, accelerator)
        self.samples = SampleSheet(self.folder.path / layout.SAMPLE_ROWS)
        run = arguments.run
        self.checkpoints = CheckpointWriter(
            accelerator, self.folder.checkpoints, run.checkpoints_total_limit, run.checkpoint_in_background, self._say
        )
        heartbeat = self.folder.path / layout.HEARTBEAT if accelerator.is_main_process else None
        self.heartbeat = Heartbeat(heartbeat, num_steps)
        self.hang_watch = HangWatch(run.hang_timeout, lambda: f"Step {self.step + 1} of {num_steps}")
        self.frames_per_step = frames_per_step(arguments, accelerator.num_processes)

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
        try:
            with self.stop_signals, self.hang_watch:
                return self._train()
        except Stopped:
            self._say(
                f"Stopped at step {self.step} of {self.num_steps}. Continue with the same command and "
                f"--resume-from-checkpoint latest."
            )
            self.accelerator.end_training()
            raise KeyboardInterrupt from None
        except (OSError, SafetensorError) as error:
            raise OSError(f"{first_line(error).rstrip('.')}. {self.checkpoints.advice()}") from error

    def _train(self) -> Result | None:
        checkpoint = self.folder.find_checkpoint()
        if self.accelerator.is_main_process:
            limit, existing = self.arguments.run.checkpoints_total_limit, list_checkpoints(self.folder.checkpoints)
            check_space_for_run(self.folder.path, self.objective.players.values(), limit, len(existing))
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
        try:
            if self.step == 0 and self.objective.starts_trained:
                self._validate(self.epoch)
            elif self.step == 0:
                self._record_samples()
            if self.step < self.num_steps or not self.is_validated:
                with self._progress() as bar:
                    while self.step < self.num_steps or not self.is_validated:
                        self._train_epoch(bar, started)
                    self._check_finite()
        except KeyboardInterrupt:
            raise
        except BaseException:
            self.checkpoints.join()
            raise
        self.checkpoints.wait()
        self.seconds = time.perf_counter() - started
        return self._finish()

    def _train_epoch(self, bar: tqdm, started: float) -> None:
        run, accumulation = self.arguments.run, self.arguments.optimization.gradient_accumulation_steps
        per_epoch = len(self.loader) // accumulation
        micro_batches = self.loader.epoch(self.epoch, self.epoch_step * accumulation)
        for _ in range(per_epoch - self.epoch_step):
            if self.step == self.num_steps:
                break
            self._stop_if_asked()
            with self.hang_watch.step():
                self._take_step(list(islice(micro_batches, accumulation)))
            self.seconds = time.perf_counter() - started
            self.heartbeat.beat(self.step, "training")
            self.checkpoints.check()
            bar.update()
            if self.step % self.arguments.tracking.logging_steps == 0 or self.step == self.num_steps:
                self._log(bar)
            if self._checkpoint_is_due() and self.epoch_step < per_epoch and self.step < self.num_steps:
                self._stop_if_asked()
                self._checkpoint()
        is_complete, is_last = self.epoch_step == per_epoch, self.step == self.num_steps
        epoch = self.epoch + is_complete
        if is_last or epoch % run.validation_epochs == 0:
            self.is_validated = False
            self._stop_if_asked()
            try:
                self._validate(epoch)
            except Stopped:
                self._checkpoint(wait=True)
                raise
            self.is_validated = True
        if is_complete:
            self.epoch, self.epoch_step = epoch, 0
        if is_last or self.epoch % run.checkpointing_epochs == 0 or self._checkpoint_is_due():
            self._checkpoint()

    def _take_step(self, batches: list[Batch]) -> None:
        self.objective.begin_step(batches, self.step + 1)
        players, losses = self.objective.players.values(), []
        for batch in batches:
            with self.accelerator.accumulate(*(player.network for player in players)):
                losses.append(self.objective.step(batch))
        self.step += 1
        self.epoch_step += 1
        is_skipped = any(player.skipped for player in players)
        self.num_skipped += is_skipped
        if is_skipped and self.num_skipped <= self.arguments.optimization.max_skipped_steps:
            self._say(
                f"The gradient of step {self.step} is not finite: the step is left out ({self.num_skipped} so far)."
            )
            self.objective.skip_step(self.step)
            return
        for of_batch in losses:
            self.losses.add(of_batch)
            self.guard.note(of_batch, self.step)
        if is_skipped:
            self._check_finite()
        self.objective.end_step(self.step)

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
        if alarm := self.spikes.look(losses.get(self.objective.watched, 0.0)):
            self._say(f"ALARM: step {self.step}: {alarm}")
        shown = {name: losses[name] for name in ("total", *self.objective.progress) if name in losses}
        bar.set_postfix({name: f"{loss:.4g}" for name, loss in shown.items()} | {"img/s": f"{images_per_second:.0f}"})

    def _check_finite(self, weights: bool = False) -> None:
        """Raise ValueError if a loss was not finite or, with `weights`, if a weight is not finite."""
        if weights:
            self.guard.note_weights((player.network for player in self.objective.players.values()), self.step)
        found = self.guard.describe()
        if not found:
            return
        self.accelerator.end_training()
        advice = self.checkpoints.advice("a lower --lr or --mixed-precision no")
        raise ValueError(f"The loss was not a finite number {found}. {advice}")

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

    def _validate(self, epoch: int) -> None:
        self._check_finite(weights=True)
        self.heartbeat.beat(self.step, "validation")
        with self.objective.player.averaged() as model:
            with self._interruptible():
                figures = self.evaluator.validate(model)
            self.history.add(self.step, {f"validation/{name}": value for name, value in figures.items()})
            shown = [figure_of(name).phrase(figures[name]) for name in self.objective.summary if name in figures]
            place = f"epoch {epoch}, step {self.step}" if self.step > 0 else "before training"
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
            try:
                sheet = self.samples.add(self.step, frames, self.evaluator.targets())
            except OSError as error:
                self._say(f"The samples of step {self.step} were not written: {first_line(error)}")
            else:
                log_picture(self.accelerator, "samples", sheet, self.step)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A part that a signal may end at once. Several processes would wait for the one that gets it."""
        if self.accelerator.num_processes > 1:
            yield
        else:
            with self.stop_signals.interrupting():
                yield

    def _export(self, model: torch.nn.Module, name: str, validation: dict[str, float]) -> None:
        if name == layout.BEST:
            self.best = validation
        if self.accelerator.is_main_process:
            export_model(model, self.folder.path / name, validation, self.objective.companions())

    def _finish(self) -> Result | None:
        self.heartbeat.beat(self.step, "export")
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
        self.heartbeat.beat(self.step, "evaluation")
        with self._interruptible():
            evaluation = self.evaluator.evaluate(best)
        self.heartbeat.beat(self.step, "finished")
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
        before = state.get("frames_per_step", self.frames_per_step)
        if "frames_per_step" not in state and state["num_processes"] != self.accelerator.num_processes:
            raise ValueError(
                f"{checkpoint} was written by {state['num_processes']} process(es) of an older version and cannot be "
                f"continued with {self.accelerator.num_processes}."
            )
        if before != self.frames_per_step:
            raise ValueError(
                f"A step of the run in {self.folder.path} has {before} frames and cannot continue with "
                f"{self.frames_per_step}: restore batch_size and gradient_accumulation_steps, or change both."
            )
        if state["data"] != self.loader.frames.fingerprint():
            raise ValueError(f"The training data are not those of {checkpoint}.")
        load_snapshot(self.accelerator, checkpoint, self.arguments.run.trust_pickle)
        for player in self.objective.players.values():
            player.restored()
        accumulation = self.arguments.optimization.gradient_accumulation_steps
        self.step, self.epoch = state["step"], state["epoch"]
        self.epoch_step = state.get("epoch_step", state.get("batch", 0) // accumulation)
        self.is_validated, self.num_skipped = state.get("is_validated", True), state.get("num_skipped", 0)
        self.seconds = state["seconds"]
        self.losses.restore(state["sums"])
        # The exported model may be newer than the checkpoint, so its figures are read from its own folder.
        best = self.folder.path / layout.BEST / layout.VALIDATION
        figures = read_json(best, str(best)) if best.is_file() else {}
        self.best = figures if len(figures) > 1 else {}  # with its step alone it is the last one, for want of a better
        self._say(f"Resumed from {checkpoint}, step {self.step} of {self.num_steps}.")
        return state["history_size"]

    def _checkpoint(self, wait: bool = False) -> None:
        self._check_finite(weights=True)
        self.heartbeat.beat(self.step, "checkpoint")
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "epoch_step": self.epoch_step,
            "is_validated": self.is_validated,
            "num_skipped": self.num_skipped,
            "seconds": self.seconds,
            "history_size": self.history.size,
            "sums": self.losses.state(),
            "num_processes": self.accelerator.num_processes,
            "frames_per_step": self.frames_per_step,
            "data": self.loader.frames.fingerprint(),
        }
        self.checkpoints.save(self.step, state, wait)

    def _stop_if_asked(self) -> None:
        """After Ctrl-C or SIGTERM (sent by clusters) on any process, write a checkpoint and stop all processes."""
        asked = self.stop_signals.received
        if self.accelerator.num_processes > 1:
            asked = bool(self.accelerator.reduce(torch.tensor(int(asked), device=self.accelerator.device), "sum"))
        if not asked:
            return
        if self.step > 0:
            self._checkpoint(wait=True)
        raise Stopped
