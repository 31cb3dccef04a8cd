"""The folder of a run: whether it may be used, which checkpoint to resume from, and the arguments that lie in it."""

from collections.abc import Callable
from pathlib import Path

import yaml
from accelerate import Accelerator

from .. import layout
from .arguments import TrainingArguments
from .checkpoint import list_checkpoints
from .resume import check_same_run, find_checkpoint

ABANDONED = ".abandoned"


class RunFolder:
    """A run's folder, which is not written to before `open`.

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
            ValueError: the folder holds another run, or the run cannot be resumed as asked.
        """
        name = self.arguments.run.resume_from_checkpoint
        if name is None:
            if self.path.exists() and any(self.path.iterdir()):
                raise ValueError(
                    f"{self.path} already holds a run: choose another --run-name, or continue it with "
                    f"--resume-from-checkpoint latest."
                )
            return None
        checkpoint = find_checkpoint(self.checkpoints, name)
        if checkpoint is None:
            self.say(f"{self.path} has no checkpoint yet: starting from the first step.")
            return None
        before = yaml.safe_load((self.path / layout.ARGUMENTS).read_text())
        for change in check_same_run(self.path, before, self.arguments):
            self.say(change)
        return checkpoint

    def open(self, checkpoint: Path | None) -> None:
        """Create the folder and write the arguments; called by all processes.

        Checkpoints later than the one that is resumed are renamed: they do not belong to what follows.
        """
        if self.accelerator.is_main_process:
            self.path.mkdir(parents=True, exist_ok=True)
            if checkpoint is not None:
                existing = list_checkpoints(self.checkpoints)
                for later in existing[existing.index(checkpoint) + 1 :]:
                    later.rename(later.with_name(later.name + ABANDONED))
            text = yaml.safe_dump(self.arguments.to_dict(), sort_keys=False)
            (self.path / layout.ARGUMENTS).write_text(text)
        self.accelerator.wait_for_everyone()

    def last_checkpoint(self) -> Path | None:
        return next(reversed(list_checkpoints(self.checkpoints)), None)
