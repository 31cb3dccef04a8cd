"""Exported models: folders for `from_pretrained`, with the figures of their validation."""

import json
import shutil
from pathlib import Path

from torch import nn

from .. import layout


def export_model(
    model: nn.Module, folder: Path, validation: dict[str, float], companions: dict[str, nn.Module] | None = None
) -> None:
    """Write `folder`, replacing an older export file by file.

    Files are replaced atomically, so that a kill at any moment leaves weights that load.

    Args:
        model: a `PretrainedModel`; the files of its `save_companions` are written too.
        companions: networks to save in subfolders with their names.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    model.save_companions(partial)
    for name, network in (companions or {}).items():
        network.save_pretrained(partial / name)
    (partial / layout.VALIDATION).write_text(json.dumps(validation, indent=2) + "\n")
    if not folder.exists():
        partial.rename(folder)
        return
    files = [path.relative_to(partial) for path in partial.rglob("*") if path.is_file()]
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in files:
            path.unlink()  # card and figures of the model that is replaced
    for path in sorted(files, key=lambda path: path == Path(layout.VALIDATION)):
        (folder / path).parent.mkdir(exist_ok=True)
        (partial / path).replace(folder / path)
    shutil.rmtree(partial)


def update_model(model: nn.Module, folder: Path, variant: str | None = None) -> None:
    """Replace configuration and weights of an exported model; with a `variant` ("fp16"), add weights in its precision.

    Each file is replaced atomically.
    """
    partial = folder.with_name(f"{folder.name}.{variant or 'update'}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial, variant=variant)
    for path in partial.iterdir():
        path.replace(folder / path.name)
    shutil.rmtree(partial)
