"""The loop: batches, accumulation, validation, checkpoints, progress. It knows no loss and no model."""

import dataclasses
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
import yaml
from accelerate import Accelerator
from tqdm import tqdm

from ..data.loader import FrameLoader
from ..evaluation.evaluator import Evaluation, ReconstructionEvaluator
from .alarms import alarms
from .arguments import TrainingArguments
from .checkpoint import list_checkpoints, load_checkpoint, read_state, save_checkpoint
from .export import VALIDATION_FILE, add_variant, export_model
from .run_log import History, SampleSheet, log_picture
from .same_run import check_same_run
from .stop_signals import StopSignals


@dataclasses.dataclass
class Result:
    """The best model's folder and step, and the seconds that the training has taken.

    validation_frames: the fingerprint of what it is judged by.
    evaluation: on all of them, once the training is finished.
    """

    folder: Path
    step: int
    seconds: float
    validation_frames: str
    evaluation: Evaluation | None = None


class Trainer:
    """Runs an objective over a loader.

    The run's folder holds `checkpoints/`, `best/` and `last/` (exported models with averaged weights), `history.jsonl`,
    `samples.png` (one row of reconstructions a validation) and `training_arguments.yaml`.

    Ctrl-C and SIGTERM raise KeyboardInterrupt after the step that they meet, behind a checkpoint.

    Args:
        on_best: called on the main process with each new best model; the training waits for it.

    Raises:
        ValueError: before the first step, if the folder holds another run or the run cannot be resumed as asked.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        objective,
        loader: FrameLoader,
        evaluator: ReconstructionEvaluator,
        arguments: TrainingArguments,
        num_steps: int,
        on_best: Callable[[Result], None] | None = None,
    ):
        self.accelerator, self.objective, self.loader = accelerator, objective, loader
        self.evaluator, self.arguments, self.num_steps = evaluator, arguments, num_steps
        self.on_best = on_best
        self.folder = arguments.run_folder
        self.step = self.epoch = self.batch = 0  # the next micro-batch is number `batch` of `epoch`
        self.seconds = 0.0
        self.history_size = 0
        self.best: dict[str, float] = {}
        self.sums: dict[str, torch.Tensor] = {}  # of each figure since the last log: its sum and how many they were
        self.stop_signals = StopSignals()
        self.first_bad_step = torch.tensor(0, device=accelerator.device)
        self.history = History(self.folder / "history.jsonl", accelerator)
        self.samples = SampleSheet(self.folder / "samples")

    @staticmethod
    def count_steps(arguments: TrainingArguments, loader: FrameLoader) -> int:
        """Optimizer steps of the whole training.

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
        """Train to the end, or until Ctrl-C or SIGTERM, which leave a checkpoint.

        Returns:
            The result on the main process, None on the others.
        """
        self._check_folder()
        started = time.perf_counter() - self.seconds
        self.objective.begin_training(self.loader.epoch(0), self.step)
        self._start_trackers()
        self._open_folder()
        if self.step == 0:
            self._record_samples()
        if self.step < self.num_steps:
            with self.stop_signals, self._progress() as bar:
                while self.step < self.num_steps:
                    self._train_epoch(bar, started)
                self._check_finite()
        self.seconds = time.perf_counter() - started
        return self._finish()

    def _train_epoch(self, bar: tqdm, started: float) -> None:
        accumulation = self.arguments.gradient_accumulation_steps
        per_epoch = len(self.loader) // accumulation
        micro_batches = self.loader.epoch(self.epoch, self.batch)
        networks = [player.network for player in self.objective.players.values()]
        for _ in range(per_epoch - self.batch // accumulation):
            batches = list(islice(micro_batches, accumulation))
            self.objective.begin_step(batches, self.step + 1)
            for batch in batches:
                with self.accelerator.accumulate(*networks):
                    self._sum(self.objective.step(batch))
            self.step += 1
            self.batch += accumulation
            self.objective.end_step(self.step)
            self.seconds = time.perf_counter() - started
            bar.update()
            if self.step % self.arguments.log_every == 0 or self.step == self.num_steps:
                self._log(bar)
            if self.step == self.num_steps:
                break
            self._stop_if_asked()
            if self._steps_are_due() and self.batch < per_epoch * accumulation:
                self._checkpoint()
        if self.batch == per_epoch * accumulation:
            self.epoch, self.batch = self.epoch + 1, 0
        last = self.step == self.num_steps
        if last or self.epoch % self.arguments.validate_every == 0:
            self._validate()
        if last or self.epoch % self.arguments.checkpoint_every == 0 or self._steps_are_due():
            self._checkpoint()

    def _steps_are_due(self) -> bool:
        every = self.arguments.checkpoint_steps
        return every is not None and self.step % every == 0

    # What is said while it runs

    def _sum(self, losses: dict[str, torch.Tensor]) -> None:
        """Add up a micro-batch's losses on the device, and note the first step whose total is not finite."""
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + torch.stack([loss.double(), torch.ones_like(loss.double())])
        bad = ~torch.isfinite(losses["total"]) & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, self.step + 1, self.first_bad_step)

    def _log(self, bar: tqdm) -> None:
        self._check_finite()
        sums = {name: self.accelerator.reduce(total, "sum").tolist() for name, total in sorted(self.sums.items())}
        losses = {name: total / count for name, (total, count) in sums.items()}
        rates = {f"lr/{name}": player.learning_rate for name, player in self.objective.players.items()}
        self.sums = {}
        per_second = bar.format_dict["rate"] or 0.0
        frames = self.arguments.batch_size * self.arguments.gradient_accumulation_steps * self.accelerator.num_processes
        speed = {"images_per_second": per_second * frames}
        self.history.add(self.step, {f"train/{name}": loss for name, loss in losses.items()} | rates | speed)
        short = {name[:6]: f"{loss:.4g}" for name, loss in losses.items()}
        bar.set_postfix(short | {"img/s": f"{per_second * frames:.0f}"})

    def _check_finite(self, weights: bool = False) -> None:
        """Stop at a loss that was no number, or, before weights are judged or kept, at such weights."""
        if weights:
            parameters = [p for player in self.objective.players.values() for p in player.network.parameters()]
            good = torch.stack([torch.isfinite(p).all() for p in parameters]).all()
            self.first_bad_step = torch.where(good | (self.first_bad_step > 0), self.first_bad_step, self.step)
        bad = int(self.accelerator.reduce(self.first_bad_step, "sum"))
        if bad == 0:
            return
        self.accelerator.end_training()
        checkpoints = list_checkpoints(self.folder / "checkpoints")
        kept = f"The last good checkpoint is {checkpoints[-1]}" if checkpoints else "There is no checkpoint yet"
        raise ValueError(
            f"The loss was no finite number at step {int(self.first_bad_step) or bad}. {kept}; try a lower --lr or "
            f"--mixed-precision no{' with --resume' if checkpoints else ''}."
        )

    def _progress(self) -> tqdm:
        return tqdm(
            total=self.num_steps,
            initial=self.step,
            desc=self.arguments.run_name,
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
        player = next(iter(self.objective.players.values()))
        with player.averaged() as model:
            metrics = self.evaluator.validate(model)
            self.history.add(self.step, {f"validation/{name}": value for name, value in metrics.items()})
            self._say(
                f"epoch {self.epoch}, step {self.step}: masked MSE {metrics['masked_mse']:.5f}, background MSE "
                f"{metrics['background_mse']:.6f}, PSNR {metrics['psnr']:.2f} dB, {metrics['num_codes_used']} codes of "
                f"{model.quantizer.num_codes} in use, perplexity {metrics['perplexity']:.0f} "
                f"({metrics['num_tokens']} tokens)"
            )
            for alarm in [*alarms(metrics, model.quantizer.num_codes), *self.objective.alarms()]:
                self._say(f"ALARM: {alarm}")
            name = self.objective.best_metric
            is_best = metrics[name] < self.best.get(name, float("inf"))
            if is_best:
                self.best = {"step": self.step, **metrics}
                self._export(model, "best", self.best)
        self._record_samples()
        if is_best and self.on_best is not None and self.accelerator.is_main_process:
            self.on_best(self._result())

    def _record_samples(self) -> None:
        player = next(iter(self.objective.players.values()))
        with player.averaged() as model:
            frames = self.evaluator.samples(model)
        if self.accelerator.is_main_process:
            sheet = self.samples.add(self.step, frames, self.evaluator.targets())
            log_picture(self.accelerator, "reconstructions", sheet, self.step)

    def _export(self, model: torch.nn.Module, name: str, validation: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            export_model(model, self.evaluator.processor, self.folder / name, validation, self.objective.companions())

    def _finish(self) -> Result | None:
        player = next(iter(self.objective.players.values()))
        with player.averaged() as model:
            self._export(model, "last", {"step": self.step})
            self.accelerator.wait_for_everyone()
            best = type(model).from_pretrained(self.folder / "best")
        if self.accelerator.is_main_process:
            try:
                add_variant(best, self.folder / "best", "fp16")
            except ValueError as error:
                self._say(f"No fp16 variant is saved: {error}")
        evaluation = self.evaluator.evaluate(best.to(self.accelerator.device).eval())
        self.accelerator.end_training()
        return self._result(evaluation) if self.accelerator.is_main_process else None

    def _result(self, evaluation: Evaluation | None = None) -> Result:
        fingerprint = self.evaluator.fingerprint
        return Result(self.folder / "best", self.best["step"], self.seconds, fingerprint, evaluation)

    # Checkpoints, resuming, stopping

    def _check_folder(self) -> None:
        """Refuse a folder that does not fit, before anything is written; restore the checkpoint that is asked for."""
        checkpoints = list_checkpoints(self.folder / "checkpoints")
        file = self.folder / "training_arguments.yaml"
        if not self.arguments.resume:
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ValueError(
                    f"{self.folder} holds another run: choose another --run-name, or go on with it by --resume."
                )
        elif not self.folder.exists():
            raise ValueError(f"There is no run to resume in {self.folder}.")
        elif checkpoints:
            changes = check_same_run(self.folder, yaml.safe_load(file.read_text()), dataclasses.asdict(self.arguments))
            for change in changes:
                self._say(change)
            self._restore(checkpoints[-1])
        else:
            self._say(f"{self.folder} has no checkpoint yet: starting from the first step.")
        self.accelerator.wait_for_everyone()

    def _open_folder(self) -> None:
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            arguments = yaml.safe_dump(dataclasses.asdict(self.arguments), sort_keys=False)
            (self.folder / "training_arguments.yaml").write_text(arguments)
            self.history.truncate(self.history_size)
            self.samples.truncate(self.step)
        self.accelerator.wait_for_everyone()

    def _restore(self, checkpoint: Path) -> None:
        state = read_state(checkpoint)
        if state["num_processes"] != self.accelerator.num_processes:
            raise ValueError(
                f"{checkpoint} was written by {state['num_processes']} process(es) and cannot go on with "
                f"{self.accelerator.num_processes}."
            )
        if state["data"] != self.loader.fingerprint():
            raise ValueError(f"The training data are not those that {checkpoint} learned from.")
        load_checkpoint(self.accelerator, checkpoint)
        for player in self.objective.players.values():
            player.restored()
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.seconds, self.history_size = state["seconds"], state["history_size"]
        # The exported model may be newer than the checkpoint: what counts is what lies there.
        best = self.folder / "best" / VALIDATION_FILE
        self.best = json.loads(best.read_text()) if best.is_file() else {}
        device = self.accelerator.device
        sums = state["sums"][self.accelerator.process_index]
        self.sums = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in sums.items()}
        self._say(f"Resumed from {checkpoint}, step {self.step} of {self.num_steps}.")

    def _checkpoint(self) -> None:
        self._check_finite(weights=True)
        sums = {name: total.reshape(1, 2) for name, total in sorted(self.sums.items())}
        gathered = {name: self.accelerator.gather(total).tolist() for name, total in sums.items()}
        processes = range(self.accelerator.num_processes)
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "history_size": self.history.size,
            "sums": [{name: values[i] for name, values in gathered.items()} for i in processes],
            "num_processes": self.accelerator.num_processes,
            "data": self.loader.fingerprint(),
        }
        folder = self.folder / "checkpoints"
        save_checkpoint(self.accelerator, folder, self.step, state, self.arguments.keep_checkpoints)

    def _stop_if_asked(self) -> None:
        """After a Ctrl-C or SIGTERM (what a cluster sends) on any process, leave a checkpoint and stop all of them."""
        asked = self.stop_signals.received
        if self.accelerator.num_processes > 1:
            asked = bool(self.accelerator.reduce(torch.tensor(int(asked), device=self.accelerator.device), "sum"))
        if not asked:
            return
        self._checkpoint()
        self._say(f"Stopped at step {self.step} of {self.num_steps}. Go on with the same command and --resume.")
        self.accelerator.end_training()
        raise KeyboardInterrupt

    def _start_trackers(self) -> None:
        if self.arguments.report_to == "none":
            return
        arguments = dataclasses.asdict(self.arguments)
        config = {name: v if isinstance(v, (int, float, str)) else str(v) for name, v in arguments.items()}
        names = {"wandb": {"name": self.arguments.run_name}, "trackio": {"name": self.arguments.run_name}}
        self.accelerator.init_trackers(self.arguments.project_name, config, names)
