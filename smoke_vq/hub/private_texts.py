"""Finding access tokens and local paths in texts that are about to be published."""

import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import get_token

TEXTS = (".md", ".json", ".yaml")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")
# Top-level folders with users' files; a link such as [docs](/docs/hub) is not a local path.
ROOTS = "home root Users Volumes mnt media scratch data work tmp var export storage cluster projects gpfs lustre"
LOCAL_PATH = re.compile(
    rf"(?<![\w./~-])/(?:{'|'.join(ROOTS.split())})/[^\s\"'`<>|)\]]+"
    r"|file:/[^\s\"'`<>|)\]]+|\b[A-Za-z]:[\\/]+Users\b[^\s\"'`<>|)\]]*|(?<!\S)\\\\+\w+\\+\w[^\s\"'`]*"
)


def check_texts(files: Iterable[Path], token: str | None = None) -> None:
    """`check_text` for each text file.

    Raises:
        ValueError: names the file.
    """
    for file in files:
        if file.suffix in TEXTS:
            check_text(file.read_text(encoding="utf-8", errors="replace"), file.name, token)


def check_text(text: str, name: str, token: str | None = None) -> None:
    """Refuse a text that contains `token` or any other access token, or a path of this machine.

    Raises:
        ValueError: starts with `name`.
    """
    known = [one for one in (token, get_token()) if isinstance(one, str)]
    if TOKEN.search(text) or any(one in text for one in known):
        raise ValueError(f"{name} contains an access token: remove it before publishing.")
    here = [str(path) for path in (Path.home(), Path.cwd()) if len(path.parts) > 2 and str(path) in text]
    found = [match[0] for match in LOCAL_PATH.finditer(text)] + here
    if found:
        raise ValueError(f"{name} contains the local path {found[0]}: remove it before publishing.")
