"""Continuing a run: which checkpoint, and which arguments may differ from those of the run."""

from pathlib import Path
from typing import Any

from .arguments import ADJUSTABLE, FIXED, TrainingArguments, options_of
from .checkpoint import list_checkpoints
from .renamed import rename_keys

LATEST = "latest"


def find_checkpoint(folder: Path, name: str) -> Path | None:
    """The checkpoint of the run in `folder` that `resume_from_checkpoint` names; None if "latest" finds none.

    Args:
        name: "latest", or the name or path of a checkpoint of this run.

    Raises:
        ValueError: the run has no such checkpoint.
    """
    checkpoints = list_checkpoints(folder)
    if name == LATEST:
        return checkpoints[-1] if checkpoints else None
    for checkpoint in checkpoints:
        if name == checkpoint.name or Path(name).resolve() == checkpoint.resolve():
            return checkpoint
    expected = ", ".join(repr(checkpoint.name) for checkpoint in checkpoints) or "but it has none"
    raise ValueError(f"The run has no checkpoint {name!r} in {folder}: expected 'latest', {expected}.")


def check_same_run(folder: Path, before: dict[str, Any], arguments: TrainingArguments) -> list[str]:
    """Compare the arguments of a run with those of its continuation.

    Args:
        before: from the run's file, perhaps under former names.

    Returns:
        A sentence for each change on purpose.

    Raises:
        ValueError: a change that would make it another run.
    """
    now, options = arguments.to_dict(), options_of(type(arguments.recipe))
    changes = []
    for name, value in rename_keys(before).items():
        if name not in options or now[name] == value:
            continue
        on_resume = options[name].metadata["on_resume"]
        if on_resume == FIXED:
            raise ValueError(
                f"The run in {folder} had {name} = {value!r} and cannot continue with {now[name]!r}: set it back, or "
                f"start another run."
            )
        if on_resume == ADJUSTABLE:
            changes.append(f"Continuing with {name} = {now[name]!r}, which was {value!r}.")
    return changes
