"""Digests of files: those that the Hub records, and those in the file checksums.sha256 of a saved folder.

`sha256sum -c checksums.sha256` reads this file too. It shows damage, not forgery: whoever changes a file on purpose can
change its checksum as well.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from huggingface_hub.utils.sha import git_hash, sha_fileobj

from ..layout import CHECKSUMS
from ..limits import read_text

DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\\/].*)")


def digest(path: Path, like: str = 64 * "0") -> str:
    """The sha256 of a file, or its sha1 as a git blob if `like` has the 40 digits of one."""
    with path.open("rb") as file:
        return git_hash(file.read()) if len(like) == 40 else sha_fileobj(file).hex()


def recorded_digest(path: Path) -> str | None:
    """The Hub's digest of a file in the cache: the name of the blob that the snapshot's symbolic link points to.

    None where the cache has no links, as on Windows.
    """
    target = os.path.basename(os.readlink(path)) if path.is_symlink() else ""
    return target if DIGEST.fullmatch(target) else None


def read_checksums(folder: Path) -> dict[str, str]:
    """The sha256 of the files of a folder, by name, as its checksums.sha256 records them; empty without that file.

    Raises:
        ValueError: checksums.sha256 is damaged, or names a file outside the folder.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    found = {}
    for line in read_text(path, str(path)).splitlines():
        match = _LINE.fullmatch(line)
        if match is None or ".." in PurePosixPath(match[2]).parts:
            raise ValueError(f"{path} is damaged: expected lines 'sha256  file in its folder', found {line!r:.99}.")
        found[match[2]] = match[1]
    return found


def write_checksums(folder: Path, checksums: dict[str, str]) -> None:
    """Write checksums.sha256 in one step, without the files that do not exist any more."""
    lines = [f"{value}  {name}\n" for name, value in sorted(checksums.items()) if (folder / name).is_file()]
    partial = folder / f"{CHECKSUMS}.partial"  # one that a kill leaves is replaced by the next
    try:
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(folder / CHECKSUMS)  # a new file: the old one may be a hard link
    finally:
        partial.unlink(missing_ok=True)


def take_checksums(folder: Path) -> dict[str, str]:
    """Return the content of checksums.sha256 and delete it, before files of the folder are replaced.

    If that is interrupted, the files are without checksums instead of with wrong ones.
    """
    found = read_checksums(folder)
    (folder / CHECKSUMS).unlink(missing_ok=True)
    return found


def record_checksums(folder: Path, names: Iterable[str], others: dict[str, str] | None = None) -> None:
    """Record the sha256 of these files of a folder, beside those that are recorded.

    Args:
        others: what `take_checksums` returned; None for what checksums.sha256 holds now.
    """
    known = read_checksums(folder) if others is None else others
    write_checksums(folder, known | {name: digest(folder / name) for name in names})


def compare_checksums(folder: Path, names: Iterable[str], where: str) -> None:
    """Refuse a folder whose files differ from what its checksums.sha256 records; files without a record are not read.

    Args:
        where: what the user wrote, for error messages.

    Raises:
        ValueError: names the file.
    """
    recorded = read_checksums(folder)
    for name in names:
        if name in recorded and (found := digest(folder / name)) != recorded[name]:
            now = read_checksums(folder)
            if now != recorded:  # a training has just replaced this model
                return compare_checksums(folder, names, where)
            raise ValueError(
                f"{name} of {where} is damaged: its sha256 is {found}, {CHECKSUMS} records {recorded[name]}. Restore "
                f"the file from a copy; if you changed it on purpose, delete {CHECKSUMS}."
            )
