"""The folder of a run: which checkpoint to resume from, and whether the run may continue with changed arguments."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

from .. import layout
from ..limits import read_json, read_yaml
from .arguments import ADJUSTABLE, FIXED, RunArguments, TrainingArguments, options_of
from .checkpoint import STATE_FILE, list_checkpoints, remove_partial
from .renamed import FORMER_LOSS_WEIGHTS, rename_keys

LATEST = "latest"
ABANDONED = ".abandoned"
SNAPSHOT = ".best-"  # of the best model, while it is pushed
LEFTOVERS = ("*.partial", f"{SNAPSHOT}*")  # of a run that was killed


class RunFolder:
    """The folder of a run. Nothing is written before `open`.

    Args:
        say: prints a sentence on the main process.
    """

    def __init__(self, accelerator: Accelerator, arguments: TrainingArguments, say: Callable[[str], None]):
        self.accelerator, self.arguments, self.say = accelerator, arguments, say
        self.path = arguments.run.folder
        self.checkpoints = self.path / layout.CHECKPOINTS

    def find_checkpoint(self) -> Path | None:
        """The checkpoint to resume from; None to start from the first step.

        Raises:
            ValueError: the folder holds another run, or the run cannot be resumed with these arguments.
        """
        if self.arguments.run.resume_from_checkpoint is None:
            if self.path.exists() and any(self.path.iterdir()):
                raise ValueError(
                    f"{self.path} already holds a run: choose another --run-name, or continue it with "
                    f"--resume-from-checkpoint latest."
                )
            return None
        checkpoint = named_checkpoint(self.arguments.run)
        if checkpoint is None:
            self.say(f"{self.path} has no checkpoint yet: starting from the first step.")
            return None
        before = read_yaml(self.path / layout.ARGUMENTS, str(self.path / layout.ARGUMENTS))
        for change in check_same_run(self.path, before, self.arguments):
            self.say(change)
        return checkpoint

    def open(self, checkpoint: Path | None) -> None:
        """Create the folder and write the arguments; called by all processes.

        Checkpoints after the resumed one are renamed: the run continues without them. What a kill has left is deleted.
        """
        if self.accelerator.is_main_process:
            self.path.mkdir(parents=True, exist_ok=True)
            remove_partial(self.checkpoints)
            for pattern in LEFTOVERS:
                for left in self.path.glob(pattern):
                    left.unlink() if left.is_file() else shutil.rmtree(left)
            for other in list_checkpoints(self.checkpoints):
                if checkpoint is not None and other.name > checkpoint.name:
                    abandoned = other.with_name(other.name + ABANDONED)
                    shutil.rmtree(abandoned, ignore_errors=True)  # of an earlier return to an older checkpoint
                    other.rename(abandoned)
            text = yaml.safe_dump(self.arguments.to_dict(), sort_keys=False)
            (self.path / layout.ARGUMENTS).write_text(text)
        self.accelerator.wait_for_everyone()


def named_checkpoint(run: RunArguments) -> Path | None:
    """The checkpoint that `resume_from_checkpoint` names; None if it is unset, or `latest` and there is none yet.

    Raises:
        ValueError: the run has no such checkpoint.
    """
    folder, name = run.folder / layout.CHECKPOINTS, run.resume_from_checkpoint
    existing = {checkpoint.name: checkpoint for checkpoint in list_checkpoints(folder)}
    if name is None or (name == LATEST and not existing):
        return None
    checkpoint = existing.get(max(existing) if name == LATEST else Path(name).name)
    parent = Path(name).parent
    if checkpoint is None or (parent != Path() and parent.resolve() != folder.resolve()):
        raise ValueError(f"{run.folder} has no checkpoint {name!r}: expected one of {[LATEST, *existing]}.")
    return checkpoint


def keep_frames_per_step(arguments: TrainingArguments, num_processes: int) -> str:
    """Adapt batch_size and gradient_accumulation_steps if a run is resumed on another number of processes.

    A step then has as many frames as before, and the same ones. The batch of a process does not grow.

    Returns:
        A sentence about the change; empty if there is none.

    Raises:
        ValueError: the frames of a step cannot be divided among the processes.
    """
    checkpoint = named_checkpoint(arguments.run)
    try:
        state = {} if checkpoint is None else read_json(checkpoint / STATE_FILE, STATE_FILE)
        frames, before = int(state["frames_per_step"]), int(state["num_processes"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""  # nothing to continue, or a checkpoint that is refused when it is read
    data, optimization = arguments.data, arguments.optimization
    if before == num_processes or frames == frames_per_step(arguments, num_processes):
        return ""
    if frames % num_processes:
        raise ValueError(
            f"A step of the run in {arguments.run.folder} has {frames} frames, which cannot be divided among "
            f"{num_processes} processes: expected a number of processes that divides {frames}."
        )
    share = frames // num_processes
    size = next(size for size in range(min(share, data.batch_size), 0, -1) if share % size == 0)
    data.batch_size, optimization.gradient_accumulation_steps = size, share // size
    return (
        f"Continuing on {num_processes} process(es) instead of {before}: a step still has {frames} frames, with "
        f"batch_size = {size} and gradient_accumulation_steps = {share // size}."
    )


def frames_per_step(arguments: TrainingArguments, num_processes: int) -> int:
    """Frames of an optimizer step, over all processes and micro-batches."""
    return arguments.data.batch_size * arguments.optimization.gradient_accumulation_steps * num_processes


def check_same_run(folder: Path, before: dict[str, Any], arguments: TrainingArguments) -> list[str]:
    """Compare the arguments of a run with those of its continuation.

    Args:
        before: arguments saved in the folder, possibly under former names.

    Returns:
        One sentence for each permitted change.

    Raises:
        ValueError: a change that is not permitted.
    """
    now, options = arguments.to_dict(), options_of(type(arguments.recipe))
    if "commitment_weight" in before:
        now["quantizer_loss_weights"] = FORMER_LOSS_WEIGHTS | now["quantizer_loss_weights"]
    changes = []
    for name, value in rename_keys(before).items():
        if name not in options or now[name] == value:
            continue
        on_resume = options[name].metadata["on_resume"]
        if on_resume == FIXED:
            raise ValueError(
                f"The run in {folder} had {name} = {value!r} and cannot continue with {now[name]!r}: restore the "
                f"old value, or start a new run."
            )
        if on_resume == ADJUSTABLE:
            changes.append(f"Continuing with {name} = {now[name]!r}, which was {value!r}.")
    return changes
