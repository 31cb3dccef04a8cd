"""A copy of the published files of a model's folder, which training may replace meanwhile."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..layout import CARD, CONFIG, EVAL_RESULTS, MODEL_FILES, PIPELINE, WEIGHTS, WEIGHTS_FILES


def published_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of a folder that match the patterns, sorted.

    Raises:
        ValueError: one is a link to a file outside the folder; a snapshot in the Hub's cache may link to its blobs.
    """
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    inside = folder.resolve()
    for path in found:
        target = path.resolve()
        is_blob = target.parent.name == "blobs" and target.parent.parent in (inside.parent, inside.parent.parent)
        if inside not in target.parents and not is_blob:
            raise ValueError(f"{path} is a link to {target}, outside the folder: replace it by a copy to publish it.")
    return found


@contextmanager
def stage_model(folder: str | Path) -> Iterator[Path]:
    """A temporary folder beside `folder` with its published files, except for the card.

    Files are hard links where the file system supports them.

    Raises:
        ValueError: `folder` does not hold a model or pipeline.
    """
    given, folder = folder, Path(folder).resolve()
    is_model = (folder / CONFIG).is_file() and any(folder.glob(WEIGHTS_FILES[0]))
    if not is_model and not (folder / PIPELINE).is_file():
        raise ValueError(f"{given} does not hold a saved model: expected {CONFIG} and {WEIGHTS}.")
    parent = folder.parent if os.access(folder.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix=".push-") as name:
        link_model(folder, Path(name))
        yield Path(name)


def link_model(folder: Path, target: Path) -> None:
    """Link or copy the published files to `target`, except for those that `write_card` writes."""
    for path in published_files(folder, MODEL_FILES):
        name = path.relative_to(folder)
        if name.as_posix() in (CARD, EVAL_RESULTS):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target / name)
        except OSError:
            shutil.copyfile(path, target / name)
