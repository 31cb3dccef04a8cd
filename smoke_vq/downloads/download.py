"""Files of a model's repository on the Hub, all of one commit, in the cache of huggingface_hub."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from ..assets import TRAINED
from ..disk_space import check_disk_space
from ..layout import CHECKSUMS
from ..limits import MAX_DOWNLOAD_BYTES
from .checksums import digest, recorded_digest
from .errors import HTTP_ERROR, check_token, download_sentences

DOWNLOAD_KEYWORDS = frozenset(("cache_dir", "force_download", "local_files_only", "token", "revision", "verify"))


def find_folder(where: str | os.PathLike, subfolder: str | None = None, revision: str | None = None) -> Path | None:
    """The local folder that `where` names, or its subfolder; None if it names a repository on the Hub.

    "nano", "nano_vqgan", "nano_sharp" and "nano_forecaster" are the models that are installed with the code.

    Raises:
        ValueError: a revision was given for a local folder.
        OSError: neither a folder nor the name of a repository; FileNotFoundError if the subfolder is missing.
    """
    path = Path(where).expanduser()
    if not path.is_dir():
        path = TRAINED.get(str(where), path)
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"{where} is a local folder and has no revision {revision!r}.")
        if not (path / (subfolder or "")).is_dir():
            raise FileNotFoundError(f"The folder {where} has no subfolder {subfolder!r}.")
        return path / (subfolder or "")
    if path.is_absolute() or str(where).startswith(".") or str(where).count("/") != 1:
        raise OSError(f"The folder {str(where)!r} does not exist (a Hub repository would be named 'user/name').")
    if path.parent.is_dir():
        raise OSError(
            f"The folder {str(where)!r} does not exist, but the folder {str(path.parent)!r} does (to load a Hub "
            f"repository of this name, work in another folder)."
        )
    return None


def normal_subfolder(subfolder: str | os.PathLike | None) -> str | None:
    """The subfolder without ".", doubled or final slashes.

    Raises:
        ValueError: it is outside the repository.
    """
    if subfolder is None:
        return None
    path = PurePosixPath(os.fspath(subfolder))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"subfolder expects a folder within the repository, found {str(subfolder)!r}.")
    return str(path) if path.parts else None


def download_files(
    repo_id: str,
    patterns: Iterable[str],
    required: Sequence[str],
    *,
    revision: str | None = None,
    subfolder: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    verify: bool = True,
) -> Path:
    """Download the files that match a pattern, all of one commit, and return their folder in the cache.

    Args:
        required: patterns each of which must match at least one file.
        revision: branch, tag, commit or "refs/pr/N"; the default is main.
        subfolder: of the repository, such as "discriminator".
        verify: compare each file with the digest that the Hub recorded, at every load.

    Raises:
        OSError: no such repository or revision; the Hub does not answer and the cache is incomplete; the disk has too
            little space; FileNotFoundError if the repository does not hold a required file.
        ValueError: a file is damaged; the files have more than `MAX_DOWNLOAD_BYTES`.
    """
    check_token(token)
    place = f"'{repo_id if subfolder is None else f'{repo_id}/{subfolder}'}'"
    api = HfApi(token=token)
    may_ask = not (local_files_only or constants.HF_HUB_OFFLINE)
    wanted = [str(PurePosixPath(subfolder or "", pattern)) for pattern in patterns]
    with download_sentences(repo_id, revision, cache_dir, local_files_only, token):
        if may_ask:
            _check_sizes(api, repo_id, wanted, place, revision, cache_dir, force_download)
        snapshot = Path(
            snapshot_download(
                repo_id,
                allow_patterns=wanted,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        )
        folder = snapshot / (subfolder or "")
        missing = [pattern for pattern in required if not any(folder.glob(pattern))]
        if missing and local_files_only:
            raise LocalEntryNotFoundError(missing[0])
        if missing:
            paths = map(PurePosixPath, api.list_repo_files(repo_id, revision=snapshot.name))
            names = [path.name for path in paths if path.parent == PurePosixPath(subfolder or "")]
            raise FileNotFoundError(f"{place} on the Hub {describe_missing(missing[0], names)}")
        files = [path for pattern in patterns for path in folder.glob(pattern)] if verify else []
        if may_ask and not all(map(recorded_digest, files)):  # a cache without links, as on Windows
            found = api.verify_repo_checksums(repo_id, revision=snapshot.name, cache_dir=cache_dir)
            damaged = {one["path"]: (one["actual"], one["expected"]) for one in found.mismatches}
        else:
            recorded = {path: recorded_digest(path) for path in files}
            unknown = [path.name for path, of_hub in recorded.items() if of_hub is None]
            if unknown:
                warnings.warn(
                    f"{unknown[0]} of {place} is loaded without verification: this cache has no symbolic links that "
                    f"name its checksum, and the Hub is not asked.",
                    stacklevel=2,
                )
            compared = {path: (digest(path, of_hub), of_hub) for path, of_hub in recorded.items() if of_hub}
            damaged = {path: pair for path, pair in compared.items() if pair[0] != pair[1]}
    for path, (actual, expected) in damaged.items():
        kind = "sha256" if len(expected) == 64 else "git sha1"
        raise ValueError(
            f"{Path(path).name} of {place} is damaged: its {kind} is {actual}, the Hub recorded {expected}. Load it "
            f"with force_download=True to download it again."
        )
    return folder


def _check_sizes(
    api: HfApi, repo_id: str, patterns: list[str], place: str, revision: str | None, cache_dir, force_download: bool
) -> None:
    """Refuse files that are too large for this library or for the disk, by the sizes that the Hub reports.

    Does nothing if the Hub does not answer: then the files are in the cache, or the download says what is wrong.
    """
    try:
        info = api.model_info(repo_id, revision=revision, files_metadata=True)
    except (OSError, HTTP_ERROR):
        return
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    sizes = {name: sizes[name] for name in filter_repo_objects(sizes, allow_patterns=patterns)}
    if (size := sum(sizes.values())) > MAX_DOWNLOAD_BYTES:
        raise ValueError(
            f"The files of {place} on the Hub have {size:,} bytes: expected at most {MAX_DOWNLOAD_BYTES:,}."
        )
    absent = [
        size
        for name, size in sizes.items()
        if force_download
        or not isinstance(try_to_load_from_cache(repo_id, name, cache_dir=cache_dir, revision=info.sha), str)
    ]
    check_disk_space(Path(cache_dir or constants.HF_HUB_CACHE), sum(absent), f"the files of {place}")


def describe_missing(expected: str, names: Iterable[str]) -> str:
    """The end of an error message about a folder with files of these names, where the expected one is missing."""
    found = ", ".join(sorted({*names} - {CHECKSUMS})[:8]) or "no files"
    return f"does not hold {expected}: found {found}."
