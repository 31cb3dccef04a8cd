"""Whether a downloaded file is the one that the Hub recorded: a byte flipped in transit or on disk is found."""

import hashlib
import os
import warnings
from pathlib import Path

from huggingface_hub import cached_assets_path
from huggingface_hub.utils.sha import git_hash, sha_fileobj

VERIFY = "SMOKE_VQ_VERIFY"


def verify_files(files: dict[Path, str | None], where: str, verify: bool | str = True) -> None:
    """Compare each file with its record.

    A comparison is remembered, in the assets' cache of huggingface_hub, by the file's size, times and inode, and is not
    made again until one of them changes. A disk that loses bits on its own changes none: "always" reads every time.

    Args:
        files: by path, the digest that the Hub recorded, or None where it is not known: 64 hexadecimal digits are a
            sha256 (large files), 40 the sha1 of a git blob (small ones).
        where: the repository, for the sentence.
        verify: False compares nothing, "always" again what is remembered. The environment's SMOKE_VQ_VERIFY (0, 1 or
            always) says what True means.

    Raises:
        ValueError: a file is damaged.
    """
    mode = check_mode(verify)
    if mode == "0":
        return
    unknown = [path.name for path, recorded in files.items() if recorded is None]
    if unknown and mode == "always":
        raise ValueError(
            f"{unknown[0]} of {where} cannot be compared: this cache keeps no record, and nobody is asked."
        )
    if unknown:
        warnings.warn(
            f"{unknown[0]} of {where} is not compared with the Hub's record, which is not here.", stacklevel=2
        )
    for path, recorded in files.items():
        if recorded is None:
            continue
        if mode == "1" and _is_remembered(path, recorded):
            continue
        found = digest(path, recorded)
        if found != recorded:
            kind = "sha256" if len(recorded) == 64 else "git sha1"
            raise ValueError(
                f"{path.name} of {where} is damaged: its {kind} is {found}, the Hub recorded {recorded}. Load it with "
                f"force_download=True to download it again."
            )
        _remember(path, recorded)


def check_mode(verify: bool | str) -> str:
    """What `verify` means here: "0", "1" or "always".

    Raises:
        ValueError: nothing.
    """
    mode = os.environ.get(VERIFY, "1") if verify is True else {False: "0"}.get(verify, verify)
    if mode not in ("0", "1", "always"):
        raise ValueError(f"verify is {mode!r}: expected True, False or 'always' (in {VERIFY}: 1, 0 or always).")
    return mode


def digest(path: Path, like: str | None = None) -> str:
    """The sha256 of a file, or the sha1 of it as a git blob if `like` is one."""
    with path.open("rb") as file:
        return git_hash(file.read()) if like is not None and len(like) == 40 else sha_fileobj(file).hex()


def _note(path: Path) -> Path:
    """Where the comparison of this file would be remembered."""
    folder = cached_assets_path("smoke_vq", namespace="verified", subfolder="sha256")
    return folder / hashlib.sha256(os.path.realpath(path).encode()).hexdigest()


def _identity(path: Path, recorded: str) -> str:
    stat = path.stat()
    return f"{recorded} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _is_remembered(path: Path, recorded: str) -> bool:
    try:
        return _note(path).read_text() == _identity(path, recorded)
    except OSError:
        return False


def _remember(path: Path, recorded: str) -> None:
    try:
        note = _note(path)
        partial = note.with_name(f"{note.name}.{os.getpid()}")
        partial.write_text(_identity(path, recorded))
        partial.replace(note)
    except OSError:
        pass  # a cache that cannot be written to, as on many clusters: the next load compares again
