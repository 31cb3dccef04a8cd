"""A finished dataset folder to the Hub, in one commit."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

# The parent of huggingface_hub's own errors, and of those for a network that does not answer.
HTTP_ERROR = HfHubHTTPError.__mro__[1]


def open_dataset_repo(repo_id: str, private: bool = False) -> None:
    """Make the repository, or find it, before the work whose result it is for.

    Raises:
        ValueError: it is no name "user/name", nobody is logged in, or the user may not write there.
    """
    if repo_id.count("/") != 1:
        raise ValueError(f"The dataset repository is '{repo_id}': expected 'user/name'.")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"The dataset repository '{repo_id}' has no valid name: {first_line(error)}") from error
    if get_token() is None:
        raise ValueError(f"Cannot push to '{repo_id}': nobody is logged in (`hf auth login`, or HF_TOKEN).")
    try:
        HfApi().create_repo(repo_id, repo_type="dataset", private=private or None, exist_ok=True)
        # One that exists is found whether or not it is ours.
        HfApi().auth_check(repo_id, repo_type="dataset", write=True)
    except (OSError, HTTP_ERROR) as error:
        raise ValueError(f"Cannot push to '{repo_id}': {first_line(error)}") from error


def push_dataset(folder: str | Path, repo_id: str) -> str:
    """Upload the folder, in place of the Parquet files that were there; returns the dataset's address.

    Raises:
        OSError: it did not arrive; the folder is as it was.
    """
    try:
        commit = HfApi().upload_folder(
            folder_path=folder,
            repo_id=repo_id,
            repo_type="dataset",
            commit_message="Upload dataset",
            ignore_patterns="*.tmp",
            delete_patterns="data/*.parquet",
        )
    except (OSError, HTTP_ERROR, RuntimeError) as error:  # RuntimeError: hf_xet's
        raise OSError(
            f"The push to '{repo_id}' failed ({first_line(error)}); '{folder}' is whole, the same command pushes it."
        ) from error
    return commit.commit_url


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
