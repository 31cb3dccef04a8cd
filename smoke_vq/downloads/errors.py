"""The errors of huggingface_hub, each as one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# The parent of huggingface_hub's own errors and of those of its HTTP client.
HTTP_ERROR = HfHubHTTPError.__mro__[1]
VISIBLE = re.compile(r"[!-~]+")
# Lines that huggingface_hub adds to the server's message.
AROUND = re.compile(r"\(Request ID.*\)|Bad request.*endpoint:|For more information.*|\d{3} (Client|Server) Error\.?")


def first_line(error: BaseException) -> str:
    """The reason in one line: the HTTP status and the server's message, if there is one."""
    message = getattr(error, "server_message", None)
    lines = [line.strip() for line in f"{message or ''}\n{error}".splitlines()]
    telling = [line for line in lines if line and not AROUND.fullmatch(line)]
    reason = (telling or [line for line in lines if line] or [type(error).__name__])[0]
    status = getattr(getattr(error, "response", None), "status_code", None)
    return reason if status is None or str(status) in reason else f"{status}: {reason}"


def check_token(token: str | bool | None) -> None:
    """Refuse a token with invalid characters, which the HTTP client would print in its error message.

    Raises:
        ValueError: the message does not contain the token.
    """
    known = token if isinstance(token, str) else get_token()
    if known is not None and not VISIBLE.fullmatch(known):
        raise ValueError("The access token contains a line break or another invalid character.")


@contextmanager
def download_sentences(repo_id: str, revision: str | None, cache_dir, local_files_only: bool, token) -> Iterator[None]:
    """Turn the errors of a download into OSError with one sentence; the arguments are those of the download."""
    try:
        yield
    except Exception as raised:
        # With force_download, the original error is the cause of a ValueError.
        cause = raised.__cause__
        error = cause if isinstance(raised, ValueError) and isinstance(cause, HTTP_ERROR | OSError) else raised
        sentence = _sentence(error, repo_id, revision, cache_dir, local_files_only, token)
        if sentence is None:
            raise
        raise OSError(sentence) from raised


def _sentence(error: Exception, repo_id: str, revision: str | None, cache_dir, local_files_only: bool, token):
    if isinstance(error, GatedRepoError):
        return f"'{repo_id}' is gated: ask for access on its page on the Hub, as the user whose token is used here."
    if isinstance(error, RepositoryNotFoundError):
        used = token is not False and (token or get_token())
        known = "the token may not read it" if used else "no token is used (`hf auth login`, or HF_TOKEN)"
        return f"'{repo_id}' is neither a local folder nor a model on the Hub; or it is private, and {known}."
    if isinstance(error, RevisionNotFoundError):
        return f"'{repo_id}' has no revision {revision!r} on the Hub."
    if isinstance(error, HFValidationError):
        return f"'{repo_id}' is neither a local folder nor a valid name on the Hub: {first_line(error)}"
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        wanted = f"'{repo_id}'" if revision is None else f"'{repo_id}' at revision {revision!r}"
        absent = (
            f"{wanted} is not a local folder and is incomplete in the cache ({cache_dir or constants.HF_HUB_CACHE})"
        )
        if local_files_only or constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "local_files_only"
            return f"{absent}; nothing is downloaded ({reason}): load it once with a network, or copy its folder here."
        return f"{absent}; the Hub at {constants.ENDPOINT} does not answer: {first_line(error.__cause__ or error)}"
    if isinstance(error, HTTP_ERROR | ConnectionError | TimeoutError):
        return f"The download of '{repo_id}' failed: {first_line(error)}"
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"The download of '{repo_id}' was interrupted; the incomplete file was deleted: {first_line(error)}"
    return None
