"""Checkpoints that are never incomplete: each is written to a temporary folder with checksums, then renamed.

Older checkpoints are deleted only after that. All files are safetensors or JSON: reading one runs no code.
"""

import json
import os
import shutil
from pathlib import Path

from accelerate import Accelerator

from ..disk_space import check_disk_space
from ..downloads.checksums import digest
from ..layout import MANIFEST
from ..limits import read_json
from .snapshot import SUFFIX, Snapshot

STATE_FILE = "trainer_state.json"
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
    snapshot = Snapshot.take(accelerator, step, state)
    if accelerator.is_main_process:
        write_snapshot(snapshot, folder, keep)
    accelerator.wait_for_everyone()
    return checkpoint_path(folder, step)


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"{PREFIX}{step:08d}"


def write_snapshot(snapshot: Snapshot, folder: Path, keep: int) -> None:
    """Write the checkpoint of a snapshot, then delete all but the newest `keep` checkpoints.

    Raises:
        OSError: it cannot be written. Nothing of it is left; the older checkpoints are intact.
    """
    final = checkpoint_path(folder, snapshot.step)
    partial = final.with_name(final.name + PARTIAL)
    remove_partial(folder)
    partial.mkdir(parents=True)
    try:
        check_disk_space(partial, snapshot.size)
        for name, part in snapshot.parts.items():
            part.write(partial / f"{name}{SUFFIX}")
        (partial / STATE_FILE).write_text(json.dumps(snapshot.state, indent=1))
        files = sorted(partial.iterdir())
        (partial / MANIFEST).write_text(json.dumps({path.name: digest(path) for path in files}, indent=1))
        for path in [*files, partial / MANIFEST]:
            _sync(path)
        replaced = final.with_name(f"{final.name}.old{PARTIAL}")
        if final.exists():
            final.rename(replaced)
        partial.rename(final)
        _sync(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def remove_partial(folder: Path) -> None:
    """Delete the incomplete checkpoints that a killed run has left in `folder`."""
    for stale in folder.glob(f"*{PARTIAL}"):
        shutil.rmtree(stale)


def read_state(folder: Path) -> dict:
    """Check every file of a checkpoint against its manifest, and return the trainer's state.

    Raises:
        ValueError: a file is missing or damaged.
    """
    manifest = _read(folder, MANIFEST)
    for name, recorded in manifest.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{name} is missing from the checkpoint {folder}; delete it to use an older one.")
        if digest(path) != recorded:
            raise ValueError(f"The checkpoint {folder} is damaged: {name} has changed; delete it to use an older one.")
    return _read(folder, STATE_FILE)


def _read(folder: Path, name: str) -> dict:
    try:
        return dict(read_json(folder / name, name))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"The checkpoint {folder} has no readable {name}; delete it to use an older one.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
