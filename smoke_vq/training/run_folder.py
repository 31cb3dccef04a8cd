"""The folder of a run: which checkpoint to resume from, and whether the run may continue with changed arguments."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

from .. import layout
from .arguments import ADJUSTABLE, FIXED, TrainingArguments, options_of
from .checkpoint import list_checkpoints
from .renamed import FORMER_LOSS_WEIGHTS, rename_keys

LATEST = "latest"
ABANDONED = ".abandoned"


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
        name = self.arguments.run.resume_from_checkpoint
        existing = {checkpoint.name: checkpoint for checkpoint in list_checkpoints(self.checkpoints)}
        if name is None:
            if self.path.exists() and any(self.path.iterdir()):
                raise ValueError(
                    f"{self.path} already holds a run: choose another --run-name, or continue it with "
                    f"--resume-from-checkpoint latest."
                )
            return None
        if name == LATEST and not existing:
            self.say(f"{self.path} has no checkpoint yet: starting from the first step.")
            return None
        checkpoint = existing.get(max(existing) if name == LATEST else Path(name).name)
        parent = Path(name).parent
        if checkpoint is None or (parent != Path() and parent.resolve() != self.checkpoints.resolve()):
            raise ValueError(f"{self.path} has no checkpoint {name!r}: expected one of {[LATEST, *existing]}.")
        before = yaml.safe_load((self.path / layout.ARGUMENTS).read_text())
        for change in check_same_run(self.path, before, self.arguments):
            self.say(change)
        return checkpoint

    def open(self, checkpoint: Path | None) -> None:
        """Create the folder and write the arguments; called by all processes.

        Checkpoints after the resumed one are renamed: the run continues without them.
        """
        if self.accelerator.is_main_process:
            self.path.mkdir(parents=True, exist_ok=True)
            for other in list_checkpoints(self.checkpoints):
                if checkpoint is not None and other.name > checkpoint.name:
                    abandoned = other.with_name(other.name + ABANDONED)
                    shutil.rmtree(abandoned, ignore_errors=True)  # of an earlier return to an older checkpoint
                    other.rename(abandoned)
            text = yaml.safe_dump(self.arguments.to_dict(), sort_keys=False)
            (self.path / layout.ARGUMENTS).write_text(text)
        self.accelerator.wait_for_everyone()

    def last_checkpoint(self) -> Path | None:
        return next(reversed(list_checkpoints(self.checkpoints)), None)


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
