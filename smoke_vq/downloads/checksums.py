"""The digests that the Hub records of its files."""

import os
import re
from pathlib import Path

from huggingface_hub.utils.sha import git_hash, sha_fileobj

DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


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
