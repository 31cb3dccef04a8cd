"""Checkpoints that are never incomplete: each is written to a temporary folder with checksums, then renamed.

Older checkpoints are deleted only after that.
"""

import json
import os
import shutil
from pathlib import Path

from accelerate import Accelerator

from ..downloads.checksums import digest

STATE_FILE = "trainer_state.json"
MANIFEST_FILE = "manifest.json"
PREFIX = "checkpoint-"
PARTIAL = ".partial"


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, state: dict, keep: int) -> Path:
    """Write `folder/checkpoint-<step>`; called by all processes.

    Args:
        state: what the trainer needs to continue, as JSON.
        keep: how many checkpoints to keep.
    """
    final = folder / f"{PREFIX}{step:08d}"
    partial = folder / (final.name + PARTIAL)
    if accelerator.is_main_process:
        for stale in folder.glob(f"*{PARTIAL}"):
            shutil.rmtree(stale)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial), safe_serialization=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (partial / STATE_FILE).write_text(json.dumps(state, indent=1))
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        manifest = {str(path.relative_to(partial)): digest(path) for path in files}
        (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1))
        for path in [*files, partial / MANIFEST_FILE]:
            _sync(path)
        replaced = final.with_name(f"{final.name}.old{PARTIAL}")
        if final.exists():
            final.rename(replaced)
        partial.rename(final)
        _sync(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        for old in list_checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
    return final


def read_state(folder: Path) -> dict:
    """Check every file of a checkpoint against its manifest, and return the trainer's state.

    Raises:
        ValueError: a file is missing or damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"The checkpoint {folder} has no readable {MANIFEST_FILE}; delete it to use an older one."
        ) from error
    for name, recorded in manifest.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{name} is missing from the checkpoint {folder}; delete it to use an older one.")
        if digest(path) != recorded:
            raise ValueError(f"The checkpoint {folder} is damaged: {name} has changed; delete it to use an older one.")
    return json.loads((folder / STATE_FILE).read_text())


def load_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Restore networks, optimizers, schedules, averages and random states."""
    accelerator.load_state(str(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
