"""Whether the files of a folder are those that were saved: a model, a forecaster, a run, a checkpoint or a dataset."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..layout import CHECKSUMS, CONFIG, MANIFEST, PIPELINE, PROCESSOR
from ..limits import read_json
from .checksums import DIGEST, digest, read_checksums

WHOLE, DAMAGED, UNKNOWN = "whole", "damaged", "unknown"
_NEEDED = (CONFIG, PIPELINE, PROCESSOR, "*.safetensors", "*.safetensors.index*.json", "*.parquet")


@dataclass(frozen=True)
class Verdict:
    """What is known about the files of one folder.

    folder: the folder.
    state: "whole": every file is as it was saved; "damaged": one is not, or is missing; "unknown": there are no
        checksums, or some files that a model is loaded from have none.
    reason: in words.
    """

    folder: Path
    state: str
    reason: str


def verify_folder(folder: Path) -> list[Verdict]:
    """Compare all files below a folder with the checksums that were saved with them. Links to folders are not followed.

    Returns:
        A verdict for each folder with checksums, or with a model or dataset without them; at least one.
    """
    found: list[Verdict] = []
    recorded: set[Path] = set()
    for path, _, names in os.walk(folder):
        found += _verify(Path(path), sorted(names), recorded)
    return found or [Verdict(folder, UNKNOWN, "it holds no model, checkpoint or dataset.")]


def _verify(folder: Path, names: list[str], recorded_above: set[Path]) -> Iterator[Verdict]:
    """The verdict on one folder, if there is one; adds the files that it records to those of the folders above."""
    needed = [name for name in names if any(PurePosixPath(name).match(pattern) for pattern in _NEEDED)]
    needed = [name for name in needed if folder / name not in recorded_above]
    source = CHECKSUMS if CHECKSUMS in names else MANIFEST if MANIFEST in names else None
    if source is None:
        if needed:
            yield Verdict(folder, UNKNOWN, f"it has no {CHECKSUMS}.")
        return
    try:
        recorded = read_checksums(folder) if source == CHECKSUMS else _read_manifest(folder / MANIFEST)
    except ValueError as error:
        yield Verdict(folder, DAMAGED, str(error))
        return
    recorded_above |= {folder / name for name in recorded}
    wrong = [sentence for name, value in recorded.items() if (sentence := _compare(folder, name, value))]
    unrecorded = [name for name in needed if name not in recorded and source == CHECKSUMS]
    if wrong:
        yield Verdict(folder, DAMAGED, " ".join(wrong))
    elif unrecorded:
        yield Verdict(folder, UNKNOWN, f"{CHECKSUMS} does not record {', '.join(unrecorded)}.")
    else:
        yield Verdict(folder, WHOLE, f"{len(recorded)} file(s) as {source} records them.")


def _compare(folder: Path, name: str, recorded: str) -> str | None:
    path = folder / name
    if not path.is_file():
        return f"{name} is missing."
    found = digest(path)
    return None if found == recorded else f"{name} has the sha256 {found}, recorded is {recorded}."


def _read_manifest(path: Path) -> dict[str, str]:
    manifest = read_json(path, str(path))
    inside = isinstance(manifest, dict) and not any(
        PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in manifest
    )
    if not inside or not all(isinstance(value, str) and DIGEST.fullmatch(value) for value in manifest.values()):
        raise ValueError(f"{path} is damaged: expected the sha256 of files in its folder, by name.")
    return manifest
