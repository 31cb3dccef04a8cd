"""An exported model: a folder for `from_pretrained` with its processor and the figures of its validation."""

import json
import shutil
from pathlib import Path

from torch import nn

from ..data.processor import SmokeImageProcessor
from ..layout import VALIDATION as VALIDATION_FILE


def export_model(
    model: nn.Module,
    processor: SmokeImageProcessor,
    folder: Path,
    validation: dict[str, float],
    companions: dict[str, nn.Module] | None = None,
) -> None:
    """Write `folder`, file by file over an older export; `companions` go to folders of their names in it.

    A folder cannot be exchanged in one move, a file can, and a kill at any moment leaves weights that load.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    processor.save_pretrained(partial)
    for name, network in (companions or {}).items():
        network.save_pretrained(partial / name)
    (partial / VALIDATION_FILE).write_text(json.dumps(validation, indent=2) + "\n")
    if not folder.exists():
        partial.rename(folder)
        return
    files = [path.relative_to(partial) for path in partial.rglob("*") if path.is_file()]
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in files:
            path.unlink()  # the card and the figures of the model that goes
    for name in sorted(files, key=lambda name: name == Path(VALIDATION_FILE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (partial / name).replace(folder / name)
    shutil.rmtree(partial)


def add_variant(model: nn.Module, folder: Path, variant: str) -> None:
    """Write the weights of `model` once more into its exported folder, in the precision that `variant` names."""
    partial = folder.with_name(f"{folder.name}.{variant}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial, variant=variant)
    for path in partial.iterdir():
        if path.name != "config.json":
            path.replace(folder / path.name)
    shutil.rmtree(partial)
