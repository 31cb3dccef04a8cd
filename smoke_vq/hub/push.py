"""Uploading folders to the Hub, each in one commit: a push that fails leaves the repository unchanged."""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..downloads.errors import HTTP_ERROR, check_token, first_line
from ..layout import CARD, DATASET_FILES, MODEL_FILES
from .private_texts import check_texts
from .staging import published_files

COMMIT = re.compile(r"[0-9a-f]{40}")


def check_target(
    repo_id: str,
    repo_type: str = "model",
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
) -> None:
    """Refuse an invalid target without asking the Hub.

    Raises:
        ValueError: not a name "user/name"; a commit instead of a branch; a private pull request, or one on a branch.
    """
    if repo_id.count("/") != 1:
        raise ValueError(f"The {repo_type} repository is '{repo_id}': expected 'user/name'.")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"The {repo_type} repository '{repo_id}' has an invalid name: {first_line(error)}") from error
    if create_pr and private:
        raise ValueError(f"A pull request is as public as '{repo_id}': expected create_pr without private.")
    if create_pr and revision is not None:
        raise ValueError(f"A pull request has its own branch: expected no revision, found '{revision}'.")
    if revision is not None and COMMIT.fullmatch(revision):
        raise ValueError(f"A push goes to a branch: expected its name, found the commit '{revision}'.")


def open_repo(
    repo_id: str,
    repo_type: str = "model",
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> None:
    """Create the repository if it does not exist, and check that it can be written to.

    Raises:
        ValueError: as `check_target`; not logged in, the user may not write there, or the repository is public
            although `private` was requested.
    """
    check_target(repo_id, repo_type, private, revision, create_pr)
    if (token or get_token()) is None:
        raise ValueError(f"Cannot push to '{repo_id}': not logged in (`hf auth login`, or HF_TOKEN).")
    check_token(token)
    api = HfApi(token=token)
    try:
        if create_pr:  # to anyone's repository
            api.auth_check(repo_id, repo_type=repo_type)
            return
        api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True)
        # create_repo accepts an existing repository of somebody else.
        api.auth_check(repo_id, repo_type=repo_type, write=True)
        is_private = api.repo_info(repo_id, repo_type=repo_type).private if private else None
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"Cannot push to '{repo_id}': the {repo_type} does not exist, or the token's user may not read it."
        ) from error
    except (OSError, HTTP_ERROR) as error:
        unknown = isinstance(error, HfHubHTTPError) and error.response.status_code == 401
        reason = "the Hub does not know the token." if unknown else first_line(error)
        raise ValueError(f"Cannot push to '{repo_id}': {reason}") from error
    if is_private is False:
        raise ValueError(f"Cannot push to '{repo_id}' privately: it is public. Change that in its settings on the Hub.")


def push_dataset(
    folder: str | Path,
    repo_id: str,
    revision: str | None = None,
    create_pr: bool = False,
    message: str = "Upload dataset",
    token: str | None = None,
) -> str:
    """Upload a dataset's folder in place of the repository's Parquet files; returns the commit's address.

    Raises:
        ValueError: the folder does not hold a dataset, or its card contains a token or a local path.
        OSError: the push failed; the repository is unchanged.
    """
    folder = Path(folder)
    check_dataset(folder)
    command = f"smoke-vq push --repo-type dataset --folder {shlex.quote(str(folder))}"
    command += " --create-pr" if create_pr else "" if revision is None else f" --revision {shlex.quote(revision)}"
    return push_folder(
        folder,
        repo_id,
        DATASET_FILES,
        repo_type="dataset",
        revision=revision,
        create_pr=create_pr,
        message=message,
        token=token,
        retry=f"to push {folder}, run `{command} --repo-id {repo_id}`",
    )


def push_folder(
    folder: Path,
    repo_id: str,
    patterns: tuple[str, ...] = MODEL_FILES,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    create_pr: bool = False,
    message: str = "Upload model",
    subfolder: str | None = None,
    token: str | None = None,
    retry: str = "repeat the command",
) -> str:
    """Upload the files that match `patterns` in one commit, on a branch that is created if it does not exist.

    Files below `subfolder` in the repository that match and are not in the folder are deleted by the same commit.
    (`HfApi.upload_folder` would make several commits if hf_xet is installed.)

    Args:
        retry: what to do after a failure, for the error message.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        ValueError: a text contains a token or a local path.
        OSError: the push failed; the repository is unchanged.
    """
    files = published_files(folder, patterns)
    check_texts(files, token)
    api = HfApi(token=token)
    inside = PurePosixPath(subfolder or "")
    try:
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        head = api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha
        there = api.list_repo_files(repo_id, repo_type=repo_type, revision=head)
        here = {str(inside / path.relative_to(folder).as_posix()): path for path in files}
        old = [name for name in there if matches(name, [str(inside / pattern) for pattern in patterns])]
        # With its parent named, the commit fails if somebody else pushed meanwhile: unchanged files are not uploaded,
        # and would be those of the other push.
        commit = api.create_commit(
            repo_id,
            [CommitOperationDelete(name) for name in old if name not in here]
            + [CommitOperationAdd(name, path) for name, path in here.items()],
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
            commit_message=message,
            parent_commit=head,
        )
    except (OSError, HTTP_ERROR, RuntimeError) as error:  # RuntimeError: from the upload of large files
        raise OSError(
            f"The push to '{repo_id}' failed ({first_line(error)}); the repository is unchanged, unless only the "
            f"response was lost; {retry}."
        ) from error
    return commit.pr_url or commit.commit_url


def matches(name: str, patterns: list[str]) -> bool:
    """Whether a path in a repository matches one of the patterns, in which "*" stays within a folder."""
    parts = PurePosixPath(name).parts
    return any(
        len(parts) == len(wanted) and all(map(fnmatch, parts, wanted))
        for wanted in (PurePosixPath(pattern).parts for pattern in patterns)
    )


def check_dataset(folder: Path) -> None:
    """Refuse a folder that does not hold a prepared dataset.

    Raises:
        ValueError: names the folder.
    """
    if not (folder / CARD).is_file() or not any(folder.glob("data/*.parquet")):
        raise ValueError(f"{folder} does not hold a prepared dataset: expected {CARD} and data/*.parquet.")
