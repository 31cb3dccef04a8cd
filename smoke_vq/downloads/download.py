"""From the Hub to a folder of the cache: a model, of one commit and whole, or a file."""

import json
import os
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RemoteEntryNotFoundError

from .checksums import verify_files
from .errors import check_token, download_sentences, first_line

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_folder(where: str | os.PathLike, revision: str | None = None) -> Path | None:
    """The local folder that `where` names; None where it names a repository of the Hub.

    Raises:
        ValueError: a revision of a folder.
        OSError: neither a folder nor the name of a repository.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"{where} is a folder here and has no revision {revision!r}.")
        return path
    if path.is_absolute() or str(where).startswith(".") or str(where).count("/") != 1:
        raise OSError(f"There is no folder {str(where)!r} (a Hub repository would be named 'user/name').")
    return None


def download_model(
    repo_id: str,
    *,
    revision: str | None = None,
    subfolder: str | None = None,
    variant: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    verify: bool | str = True,
) -> Path:
    """Return the folder in the cache that holds config.json and the weights, which are downloaded if need be.

    All files are of the commit that config.json came from, though the branch may move meanwhile. With everything in the
    cache a load asks the Hub once, for the branch's commit, and not at all if `revision` is a commit or the network is
    switched off.

    Args:
        revision: branch, tag, commit or "refs/pr/N"; the default is main.
        subfolder: of the repository, such as "discriminator".
        variant: "fp16" for `diffusion_pytorch_model.fp16.safetensors`.
        verify: as in `checksums.verify_files`.

    Raises:
        OSError: no such repository, revision or file, or the Hub does not answer; only a pickle file where safetensors
            are expected.
        ValueError: a file is not what the Hub recorded.
    """
    check_token(token)
    place = repo_id if subfolder is None else f"{repo_id}/{subfolder}"
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
            config = Path(fetch(CONFIG, revision=revision))
        except RemoteEntryNotFoundError as error:
            raise OSError(f"'{place}' on the Hub holds no {CONFIG}: it is no saved model.") from error
        depth = 0 if subfolder is None else subfolder.count("/") + 1
        root = config.parents[depth]  # snapshots/<commit>
        try:
            weights = _fetch_weights(partial(fetch, revision=root.name), f"'{place}'", variant)
        except RemoteEntryNotFoundError as error:
            names = HfApi(token=token).list_repo_files(repo_id, revision=root.name)
            here = [Path(name).name for name in names if Path(name).parent == Path(subfolder or "")]
            expected = _with_variant(WEIGHTS, variant)
            raise OSError(f"'{place}' on the Hub holds {describe_weights(here)}: expected {expected}.") from error
        recorded = _recorded(repo_id, [config, *weights], root, None if local_files_only else HfApi(token=token))
    verify_files(recorded, f"'{place}'", verify)
    return config.parent


def download_file(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    verify: bool | str = True,
) -> Path:
    """Return a small file of a model's repository in the cache; arguments and errors as of `download_model`."""
    check_token(token)
    keywords = {"cache_dir": cache_dir, "force_download": force_download, "local_files_only": local_files_only}
    with download_sentences(repo_id, revision, cache_dir, local_files_only, token):
        try:
            path = Path(hf_hub_download(repo_id, filename, revision=revision, token=token, **keywords))
        except RemoteEntryNotFoundError as error:
            raise OSError(f"'{repo_id}' on the Hub holds no {filename}.") from error
        root = path.parents[filename.count("/")]
        recorded = _recorded(repo_id, [path], root, None if local_files_only else HfApi(token=token))
    verify_files(recorded, f"'{repo_id}'", verify)
    return path


def _fetch_weights(fetch, place: str, variant: str | None) -> list[Path]:
    """The file of the weights, or their index and its shards."""
    try:
        return [Path(fetch(_with_variant(WEIGHTS, variant)))]
    except EntryNotFoundError as error:  # on the Hub, or in a cache that is all there is
        no_single_file = error
    index = None
    with suppress(EntryNotFoundError):
        index = Path(fetch(_with_variant(INDEX, variant)))
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
