"""Exported models: folders for `from_pretrained`, with the figures of their validation."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from .. import layout
from ..disk_space import check_disk_space
from ..downloads.checksums import record_checksums, take_checksums, write_checksums


def export_model(
    model: nn.Module, folder: Path, validation: dict[str, float], companions: dict[str, nn.Module] | None = None
) -> None:
    """Write `folder`, replacing an older export file by file.

    Files are replaced atomically, and their checksums are deleted before and written last, so that a kill at any
    moment leaves weights that load.

    Args:
        model: a `PretrainedModel`; the files of its `save_companions` are written too.
        companions: networks to save in subfolders with their names.
    """
    with _partial_folder(folder, "partial", [model, *(companions or {}).values()]) as partial:
        model.save_pretrained(partial)
        model.save_companions(partial)
        for name, network in (companions or {}).items():
            network.save_pretrained(partial / name)
        (partial / layout.VALIDATION).write_text(json.dumps(validation, indent=2) + "\n")
        record_checksums(partial, [layout.VALIDATION])
        if not folder.exists():
            partial.rename(folder)
            return
        files = [path.relative_to(partial) for path in partial.rglob("*") if path.is_file()]
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            if path.name == layout.CHECKSUMS or path.relative_to(folder) not in files:
                path.unlink()  # also card and figures of the model that is replaced
        for path in sorted(files, key=lambda path: (path.name == layout.CHECKSUMS, path == Path(layout.VALIDATION))):
            (folder / path).parent.mkdir(exist_ok=True)
            (partial / path).replace(folder / path)


def update_model(model: nn.Module, folder: Path, variant: str | None = None) -> None:
    """Replace configuration and weights of an exported model; with a `variant` ("fp16"), add weights in its precision.

    Each file is replaced atomically, and the checksums as in `export_model`.
    """
    with _partial_folder(folder, f"{variant or 'update'}.partial", [model]) as partial:
        model.save_pretrained(partial, variant=variant)
        checksums = take_checksums(folder) | take_checksums(partial)
        for path in partial.iterdir():
            path.replace(folder / path.name)
        write_checksums(folder, checksums)


@contextmanager
def _partial_folder(folder: Path, ending: str, networks: list[nn.Module]) -> Iterator[Path]:
    """The path of a new folder beside `folder`, of which nothing is left; raises an OSError if the disk is too full."""
    partial = folder.with_name(f"{folder.name}.{ending}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        check_disk_space(folder, sum(weight.nbytes for network in networks for weight in network.state_dict().values()))
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
