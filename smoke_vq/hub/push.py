"""Folders to the Hub, each in one commit: a push that breaks off leaves the repository as it was."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import filter_repo_objects, validate_repo_id

from .card import CARD, EVAL_RESULTS, write_card
from .errors import HTTP_ERROR, check_token, first_line

# What a model's repository gets from its folder. Older files of these names that are not pushed again are removed: they
# belong to the weights that go.
MODEL_FILES = (
    "config.json",
    "preprocessor_config.json",
    "diffusion_pytorch_model*.safetensors",
    "diffusion_pytorch_model*.json",
    "discriminator/config.json",
    "discriminator/diffusion_pytorch_model*.safetensors",
    CARD,
    "reconstructions.png",
    "samples.png",
    "metrics.json",
    "validation.json",
    "training.json",
    "training_arguments.yaml",
    ".eval_results/*.yaml",
)
IGNORED = ("*.tmp", ".clips/*", ".git/*", ".cache/*")  # the first two are left where preparing a dataset was stopped
TEXTS = (".md", ".json", ".yaml")
PREFIX = ".push-"
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")


def open_repo(
    repo_id: str, repo_type: str = "model", private: bool = False, create_pr: bool = False, token: str | None = None
) -> None:
    """Make the repository, or find it, before the work whose result it is for.

    Raises:
        ValueError: it is no name "user/name", nobody is logged in, the user may not write there, or it shall be private
            and exists as a public one.
    """
    check_repo_id(repo_id, repo_type)
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


def check_repo_id(repo_id: str, repo_type: str = "model") -> None:
    """Refuse what is no name of a repository.

    Raises:
        ValueError: names it.
    """
    if repo_id.count("/") != 1:
        raise ValueError(f"The {repo_type} repository is '{repo_id}': expected 'user/name'.")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"The {repo_type} repository '{repo_id}' has no valid name: {first_line(error)}") from error


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
    check_texts(Path(folder), token)
    return push_folder(
        folder,
        repo_id,
        revision=revision,
        create_pr=create_pr,
        message=message,
        path_in_repo=subfolder,
        delete_patterns=MODEL_FILES,
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
    check_texts(folder, token)
    return push_folder(
        folder,
        repo_id,
        repo_type="dataset",
        revision=revision,
        create_pr=create_pr,
        message=message,
        delete_patterns=("data/*.parquet",),
        token=token,
        again=f"{folder} is whole, and `python scripts/push_to_hub.py --repo-type dataset --folder {folder} --repo-id "
        f"{repo_id}` pushes it",
    )


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    create_pr: bool = False,
    message: str,
    path_in_repo: str | None = None,
    delete_patterns: tuple[str, ...],
    token: str | None = None,
    again: str,
) -> str:
    """Upload a folder in one commit, on a branch that is made if need be; `again` says how, if it fails.

    Files in the repository, below `path_in_repo`, that match `delete_patterns` and are not in the folder are removed by
    the same commit. `HfApi.upload_folder` would make several commits of them where hf_xet is installed.
    """
    if create_pr and revision is not None:
        raise ValueError(f"A pull request makes a branch of its own: expected no revision, found '{revision}'.")
    api = HfApi(token=token)
    prefix = "" if path_in_repo is None else f"{path_in_repo}/"
    head = None
    try:
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        head = api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha
        there = api.list_repo_files(repo_id, repo_type=repo_type, revision=head)
        here = {prefix + path.relative_to(folder).as_posix(): path for path in published_files(Path(folder))}
        old = filter_repo_objects(there, allow_patterns=[prefix + pattern for pattern in delete_patterns])
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
        state = _describe_state(api, repo_id, repo_type, revision, head)
        raise OSError(f"The push to '{repo_id}' failed ({first_line(error)}); {state}, {again}.") from error
    return commit.pr_url or commit.commit_url


def _describe_state(api: HfApi, repo_id: str, repo_type: str, revision: str | None, head: str | None) -> str:
    """What a push that failed left: its commit may have been made, and only the answer lost."""
    try:
        if head is None or api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha == head:
            return "the repository is as it was"
        return "the repository has changed meanwhile, perhaps by this push"
    except (OSError, HTTP_ERROR):
        return "the repository is as it was or has the whole of it"


@contextmanager
def stage_model(folder: str | Path, repo_id: str) -> Iterator[Path]:
    """A folder beside `folder` with what is published of it and the card for `repo_id`; removed afterwards.

    Files are hard links where the file system has them: `folder` may be replaced, file by file, while they are read.

    Raises:
        ValueError: `folder` holds no model.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not any(folder.glob("diffusion_pytorch_model*.safetensors")):
        raise ValueError(
            f"{folder} holds no saved model: expected config.json and diffusion_pytorch_model.safetensors."
        )
    parent = folder.parent if os.access(folder.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix=PREFIX) as name:
        link_model(folder, Path(name))
        write_card(Path(name), repo_id)
        yield Path(name)


def published_files(folder: Path) -> list[Path]:
    """What a push of this folder uploads."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [files[name] for name in sorted(filter_repo_objects(files, ignore_patterns=list(IGNORED)))]


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder that are published."""
    return sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()})


def link_model(folder: Path, target: Path) -> None:
    """The files that are published, but for those that `write_card` writes, as hard links or copies in `target`."""
    for path in model_files(folder):
        name = path.relative_to(folder)
        if name.parts[0] in (CARD, EVAL_RESULTS):
            continue
        (target / name).parent.mkdir(exist_ok=True)
        try:
            os.link(path, target / name)
        except OSError:
            shutil.copyfile(path, target / name)


def check_dataset(folder: Path) -> None:
    """Refuse a folder that holds no prepared dataset.

    Raises:
        ValueError: names the folder.
    """
    if not (folder / CARD).is_file() or not any(folder.glob("data/*.parquet")):
        raise ValueError(f"{folder} holds no prepared dataset: expected {CARD} and data/*.parquet.")


def check_texts(folder: Path, token: str | None = None) -> None:
    """Refuse to publish a token, `token` or any other, or a path of this machine.

    Raises:
        ValueError: names the file.
    """
    tokens = [known for known in (token, get_token()) if known is not None]
    private = {Path.home(), Path.cwd(), folder.resolve().parent, Path(tempfile.gettempdir())} - {Path("/")}
    paths = re.compile("|".join(rf"(?<![\w.]){re.escape(str(path))}(?=/|\b)" for path in private))
    for file in sorted(folder.rglob("*")):
        if file.suffix not in TEXTS or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if TOKEN.search(text) or any(known in text for known in tokens):
            raise ValueError(f"{file.relative_to(folder)} holds an access token: take it out before it is published.")
        found = paths.search(text)
        if found:
            raise ValueError(
                f"{file.relative_to(folder)} names the local folder {found[0]}: take it out before it is published."
            )
