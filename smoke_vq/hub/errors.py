"""What huggingface_hub raises, as one sentence of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# The parent of huggingface_hub's own errors, and of those for a network that does not answer.
HTTP_ERROR = HfHubHTTPError.__mro__[1]


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def download_sentences(repo_id: str, revision: str | None, cache_dir, local_files_only: bool, token) -> Iterator[None]:
    """Turn the errors of a download into OSError (what is not there, or does not answer) with one sentence.

    The parameters are those of the download, for what the sentence says.
    """
    try:
        yield
    except GatedRepoError as error:
        raise OSError(
            f"'{repo_id}' is gated: ask for access on its page on the Hub, and log in (`hf auth login`, or HF_TOKEN)."
        ) from error
    except RepositoryNotFoundError as error:
        known = "the token may not read it" if token or get_token() else "nobody is logged in (`hf auth login`)"
        raise OSError(
            f"There is no folder '{repo_id}', and no model of that name on the Hub; or it is private, and {known}."
        ) from error
    except RevisionNotFoundError as error:
        raise OSError(f"'{repo_id}' has no revision {revision!r} on the Hub.") from error
    except HFValidationError as error:
        raise OSError(f"There is no folder '{repo_id}', and no such name on the Hub: {first_line(error)}") from error
    except LocalEntryNotFoundError as error:
        where = f"in the cache ({cache_dir or constants.HF_HUB_CACHE})"
        wanted = f"'{repo_id}'" if revision is None else f"'{repo_id}' at revision {revision!r}"
        if local_files_only or constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE switches the network off" if constants.HF_HUB_OFFLINE else "local_files_only"
            raise OSError(
                f"There is no folder '{repo_id}', and {wanted} is not {where}; nothing is downloaded ({reason}). "
                f"Load it once where there is a network and the same cache, or copy its folder here."
            ) from error
        raise OSError(
            f"There is no folder '{repo_id}'; {wanted} is not {where}, and the Hub at {constants.ENDPOINT} does not "
            f"answer: {first_line(error.__cause__ or error)}"
        ) from error
    except (HTTP_ERROR, ConnectionError, TimeoutError) as error:
        raise OSError(f"The download of '{repo_id}' failed: {first_line(error)}") from error
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        raise OSError(
            f"The download of '{repo_id}' broke off, and nothing of the broken file was kept: {first_line(error)}"
        ) from error
