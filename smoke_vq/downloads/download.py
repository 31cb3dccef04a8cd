"""From the Hub to a folder of the cache: a model, of one commit and whole, or a file."""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RemoteEntryNotFoundError

from .checksums import verify_files
from .errors import check_token, download_sentences, first_line

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
Fetch = Callable[[str], str]
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_folder(where: str | os.PathLike, subfolder: str | None = None, revision: str | None = None) -> Path | None:
    """The local folder that `where` names, or its subfolder; None where it names a repository of the Hub.

    Raises:
        ValueError: a revision of a folder.
        OSError: neither a folder nor the name of a repository; FileNotFoundError where it has no such subfolder.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"{where} is a folder here and has no revision {revision!r}.")
        if not (path / (subfolder or "")).is_dir():
            raise FileNotFoundError(f"The folder {where} has no subfolder {subfolder!r}.")
        return path / (subfolder or "")
    if path.is_absolute() or str(where).startswith(".") or str(where).count("/") != 1:
        raise OSError(f"There is no folder {str(where)!r} (a Hub repository would be named 'user/name').")
    return None


def normal_subfolder(subfolder: str | os.PathLike | None) -> str | None:
    """Without "." and doubled or final slashes.

    Raises:
        ValueError: it leaves the repository.
    """
    if subfolder is None:
        return None
    path = PurePosixPath(os.fspath(subfolder))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"subfolder expects a folder within the repository, found {str(subfolder)!r}.")
    return str(path) if path.parts else None


def download_model(repo_id: str, variant: str | None = None, **keywords: Any) -> Path:
    """Return the folder in the cache that holds config.json and the weights, which are downloaded if need be.

    Args:
        variant: "fp16" for `diffusion_pytorch_model.fp16.safetensors`.
        keywords: as of `download_file`.

    Raises:
        OSError: as `download_file`; only a pickle file where safetensors are expected.
        ValueError: as `download_file`.
    """
    return download_file(repo_id, CONFIG, partial(_fetch_weights, variant=variant), **keywords).parent


def download_file(
    repo_id: str,
    filename: str,
    fetch_more: Callable[[Fetch, str, Callable[[], list[str]]], list[Path]] | None = None,
    *,
    revision: str | None = None,
    subfolder: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    verify: bool | str = True,
) -> Path:
    """Return a file of a model's repository in the cache, downloaded if need be and compared with the Hub's record.

    With everything in the cache a load asks the Hub once, for the branch's commit, and not at all if `revision` is a
    commit or the network is switched off.

    Args:
        fetch_more: a function (fetch, place, names) -> more files, which are of the commit that the first one came
            from, though the branch may move meanwhile: `fetch(name)` downloads one from the same folder, `place` is
            that folder for sentences, `names()` lists it.
        revision: branch, tag, commit or "refs/pr/N"; the default is main.
        subfolder: of the repository, such as "discriminator".
        verify: as in `checksums.verify_files`.

    Raises:
        OSError: no such repository or revision, or the Hub does not answer; FileNotFoundError where the repository has
            no such file.
        ValueError: a file is not what the Hub recorded.
    """
    check_token(token)
    place = f"'{repo_id if subfolder is None else f'{repo_id}/{subfolder}'}'"
    fetch = partial(
        hf_hub_download,
        repo_id,
        subfolder=subfolder,
        token=token,
        cache_dir=cache_dir,
        force_download=force_download,
        local_files_only=local_files_only,
    )
    with download_sentences(repo_id, revision, cache_dir, local_files_only, token):
        try:
            path = Path(fetch(filename, revision=revision))
        except RemoteEntryNotFoundError as error:
            hint = ": it is no saved model" if filename == CONFIG else ""
            raise FileNotFoundError(f"{place} on the Hub holds no {filename}{hint}.") from error
        root = path.parents[0 if subfolder is None else subfolder.count("/") + 1]  # snapshots/<commit>
        commit, api = root.name, HfApi(token=token)

        def names() -> list[str]:
            there = map(PurePosixPath, api.list_repo_files(repo_id, revision=commit))
            return [name.name for name in there if name.parent == PurePosixPath(subfolder or "")]

        files = [path] if fetch_more is None else [path, *fetch_more(partial(fetch, revision=commit), place, names)]
        recorded = _recorded(repo_id, files, root, None if local_files_only else api)
    verify_files(recorded, place, verify)
    return path


def _fetch_weights(fetch: Fetch, place: str, names: Callable[[], list[str]], variant: str | None) -> list[Path]:
    """The file of the weights, or their index and its shards."""
    try:
        return [Path(fetch(_with_variant(WEIGHTS, variant)))]
    except EntryNotFoundError as error:  # on the Hub, or in a cache that is all there is
        no_single_file = error
    index = None
    with suppress(EntryNotFoundError):
        index = Path(fetch(_with_variant(INDEX, variant)))
    if index is None and isinstance(no_single_file, RemoteEntryNotFoundError):
        expected = _with_variant(WEIGHTS, variant)
        raise OSError(f"{place} on the Hub holds {describe_weights(names())}: expected {expected}.")
    if index is None:
        raise no_single_file
    shards = []
    for name in shards_of(index, place):
        try:
            shards.append(Path(fetch(name)))
        except RemoteEntryNotFoundError as error:
            raise OSError(f"{index.name} of {place} names {name}, which is not there.") from error
    return [index, *shards]


def shards_of(index: Path, where: str | os.PathLike) -> list[str]:
    """The files that an index names.

    Raises:
        ValueError: it is no index.
    """
    try:
        return sorted({str(name) for name in json.loads(index.read_text())["weight_map"].values()})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{index.name} of {where} is damaged: {type(error).__name__}, {first_line(error)}.") from error


def describe_weights(names: list[str]) -> str:
    """What a folder holds instead of the weights that were looked for, for a sentence."""
    safe = sorted(name for name in names if name.endswith(".safetensors"))
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if safe:
        return f"only {', '.join(safe)}"
    return f"only the pickle file {pickles[0]}, which can run code when opened" if pickles else "no weights"


def _with_variant(name: str, variant: str | None) -> str:
    """diffusers' names: the variant stands before the last ending."""
    stem, dot, ending = name.rpartition(".")
    return name if variant is None else f"{stem}.{variant}{dot}{ending}"


def _recorded(repo_id: str, files: list[Path], root: Path, api: HfApi | None) -> dict[Path, str | None]:
    """The Hub's digest of each file: the cache keeps it as the name of what a snapshot's symbolic link points to.

    Where the cache has no links (Windows, or a copy without them), the Hub is asked, if it may be.
    """
    recorded = {}
    for path in files:
        target = os.path.basename(os.readlink(path)) if path.is_symlink() else ""
        recorded[path] = target if DIGEST.fullmatch(target) else None
    unknown = {path.relative_to(root).as_posix(): path for path in files if recorded[path] is None}
    if unknown and api is not None and not constants.HF_HUB_OFFLINE:
        for entry in api.get_paths_info(repo_id, list(unknown), revision=root.name):
            recorded[unknown[entry.path]] = entry.blob_id if entry.lfs is None else entry.lfs.sha256
    return recorded
