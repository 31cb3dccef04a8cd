"""Folders to the Hub, each in one commit: a push that breaks off leaves the repository as it was."""

import re
import shlex
from pathlib import Path, PurePosixPath

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..downloads.errors import HTTP_ERROR, check_token, first_line
from ..layout import CARD, DATASET_FILES, MODEL_FILES
from .model_folder import check_texts, matches, published_files

COMMIT = re.compile(r"[0-9a-f]{40}")


def open_repo(
    repo_id: str,
    repo_type: str = "model",
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> None:
    """Make the repository, or find it, before the work whose result it is for.

    Raises:
        ValueError: as `check_target`; nobody is logged in, the user may not write there, or the repository shall be
            private and exists as a public one.
    """
    check_target(repo_id, repo_type, private, revision, create_pr)
    if (token or get_token()) is None:
        raise ValueError(f"Cannot push to '{repo_id}': nobody is logged in (`hf auth login`, or HF_TOKEN).")
    check_token(token)
    api = HfApi(token=token)
    try:
        if create_pr:  # to anyone's repository
            api.auth_check(repo_id, repo_type=repo_type)
            return
        api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True)
        # One that exists is found whether or not it is ours.
        api.auth_check(repo_id, repo_type=repo_type, write=True)
        is_private = api.repo_info(repo_id, repo_type=repo_type).private if private else None
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"Cannot push to '{repo_id}': there is no such {repo_type}, or the token's user may not read it."
        ) from error
    except (OSError, HTTP_ERROR) as error:
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code == 401
        reason = "the Hub does not know the token." if refused else first_line(error)
        raise ValueError(f"Cannot push to '{repo_id}': {reason}") from error
    if is_private is False:
        raise ValueError(f"Cannot push to '{repo_id}' privately: it is public. Change that in its settings on the Hub.")


def check_target(
    repo_id: str,
    repo_type: str = "model",
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
) -> None:
    """Refuse, without asking the Hub, what cannot be pushed to.

    Raises:
        ValueError: no name "user/name"; a commit for a branch; a pull request that shall be private or on a branch.
    """
    if repo_id.count("/") != 1:
        raise ValueError(f"The {repo_type} repository is '{repo_id}': expected 'user/name'.")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"The {repo_type} repository '{repo_id}' has no valid name: {first_line(error)}") from error
    if create_pr and private:
        raise ValueError(f"A pull request is as public as '{repo_id}' is: expected it without private.")
    if create_pr and revision is not None:
        raise ValueError(f"A pull request makes a branch of its own: expected no revision, found '{revision}'.")
    if revision is not None and COMMIT.fullmatch(revision):
        raise ValueError(f"A push goes to a branch: expected its name, found the commit '{revision}'.")


def push_model(
    folder: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    create_pr: bool = False,
    message: str = "Upload model",
    subfolder: str | None = None,
    token: str | None = None,
    again: str = "the same command pushes it",
) -> str:
    """Upload a folder that `stage_model` made, in one commit; returns the commit's address.

    Raises:
        ValueError: a text in it names a token or a local path.
        OSError: it did not arrive; the repository is as it was.
    """
    return push_folder(
        Path(folder),
        repo_id,
        MODEL_FILES,
        revision=revision,
        create_pr=create_pr,
        message=message,
        subfolder=subfolder,
        token=token,
        again=again,
    )


def push_dataset(
    folder: str | Path,
    repo_id: str,
    revision: str | None = None,
    create_pr: bool = False,
    message: str = "Upload dataset",
    token: str | None = None,
) -> str:
    """Upload a dataset's folder, in place of the Parquet files that were there; returns the commit's address.

    Raises:
        ValueError: it is no dataset's folder, or its card names a token or a local path.
        OSError: it did not arrive; the repository is as it was.
    """
    folder = Path(folder)
    check_dataset(folder)
    command = f"python scripts/push_to_hub.py --repo-type dataset --folder {shlex.quote(str(folder))}"
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
        again=f"{folder} is whole, and `{command} --repo-id {repo_id}` pushes it",
    )


def push_folder(
    folder: Path,
    repo_id: str,
    patterns: tuple[str, ...],
    *,
    repo_type: str = "model",
    revision: str | None = None,
    create_pr: bool = False,
    message: str,
    subfolder: str | None = None,
    token: str | None = None,
    again: str,
) -> str:
    """Upload what matches `patterns` in one commit, on a branch that is made if need be; `again` says how, if it fails.

    Files in the repository, below `subfolder`, that match and are not in the folder are removed by the same commit.
    `HfApi.upload_folder` would make several commits of them where hf_xet is installed.
    """
    files = published_files(folder, patterns)
    check_texts(files, token)
    api = HfApi(token=token)
    inside = PurePosixPath(subfolder or "")
    head = None
    try:
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        head = api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha
        there = api.list_repo_files(repo_id, repo_type=repo_type, revision=head)
        here = {str(inside / path.relative_to(folder).as_posix()): path for path in files}
        old = [name for name in there if matches(name, [str(inside / pattern) for pattern in patterns])]
        # Not onto a later commit: what has not changed is left out, and would be of another push there.
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
    except (OSError, HTTP_ERROR, RuntimeError) as error:  # RuntimeError: the upload's of large files
        state = _describe_state(api, repo_id, repo_type, revision, create_pr, head)
        raise OSError(f"The push to '{repo_id}' failed ({first_line(error)}); {state}, {again}.") from error
    return commit.pr_url or commit.commit_url


def _describe_state(
    api: HfApi, repo_id: str, repo_type: str, revision: str | None, create_pr: bool, head: str | None
) -> str:
    """What a push that failed left: its commit may have been made, and only the answer lost."""
    try:
        if head is None or api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha == head:
            if create_pr and head is not None:
                return "the repository is as it was, but look whether the pull request was opened"
            return f"{'the repository' if revision is None else f'branch {revision}'} is as it was"
        return "the repository has changed meanwhile, perhaps by this push"
    except (OSError, HTTP_ERROR):
        return "the repository is as it was or has the whole of it"


def check_dataset(folder: Path) -> None:
    """Refuse a folder that holds no prepared dataset.

    Raises:
        ValueError: names the folder.
    """
    if not (folder / CARD).is_file() or not any(folder.glob("data/*.parquet")):
        raise ValueError(f"{folder} holds no prepared dataset: expected {CARD} and data/*.parquet.")
