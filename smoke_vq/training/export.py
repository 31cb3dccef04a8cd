"""An exported model: a folder for `from_pretrained` with its processor and the figures of its validation."""

import json
import shutil
from pathlib import Path

from torch import nn

from ..data.processor import SmokeImageProcessor

VALIDATION_FILE = "validation.json"


def export_model(model: nn.Module, processor: SmokeImageProcessor, folder: Path, validation: dict[str, float]) -> None:
    """Write `folder`, file by file over an older export.

    A folder cannot be exchanged in one move, a file can, and a kill at any moment leaves weights that load.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    processor.save_pretrained(partial)
    (partial / VALIDATION_FILE).write_text(json.dumps(validation, indent=2) + "\n")
    if not folder.exists():
        partial.rename(folder)
        return
    for path in folder.iterdir():
        if not (partial / path.name).exists():
            path.unlink()  # the card and the figures of the model that goes
    for path in sorted(partial.iterdir(), key=lambda path: path.name == VALIDATION_FILE):
        path.replace(folder / path.name)
    partial.rmdir()
