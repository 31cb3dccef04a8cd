"""What a model's folder holds, and what of it, and of a dataset's, is published."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from huggingface_hub import get_token

from ..layout import CARD, CONFIG, EVAL_RESULTS, MODEL_FILES, WEIGHTS, WEIGHTS_FILES

TEXTS = (".md", ".json", ".yaml")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")
# Below what machines call the roots of people's files, or on a drive; links such as [docs](/docs/hub) are none.
ROOTS = "home root Users Volumes mnt media scratch data work tmp var export storage cluster projects gpfs lustre"
LOCAL_PATH = re.compile(
    rf"(?<![\w./~-])/(?:{'|'.join(ROOTS.split())})/[^\s\"'`<>|)\]]+"
    r"|file:/[^\s\"'`<>|)\]]+|\b[A-Za-z]:[\\/]+Users\b[^\s\"'`<>|)\]]*|(?<!\S)\\\\+\w+\\+\w[^\s\"'`]*"
)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path in a repository matches one of the patterns, in which "*" stays within a folder."""
    parts = PurePosixPath(name).parts
    return any(
        len(parts) == len(wanted) and all(map(fnmatch, parts, wanted))
        for wanted in (PurePosixPath(pattern).parts for pattern in patterns)
    )


def published_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of a folder that match the patterns, in order."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


@contextmanager
def stage_model(folder: str | Path) -> Iterator[Path]:
    """A folder beside `folder` with what is published of it but for the card; removed afterwards.

    Files are hard links where the file system has them: `folder` may be replaced, file by file, while they are read.

    Raises:
        ValueError: `folder` holds no model.
    """
    given, folder = folder, Path(folder).resolve()
    if not (folder / CONFIG).is_file() or not any(folder.glob(WEIGHTS_FILES[0])):
        raise ValueError(f"{given} does not hold a saved model: expected {CONFIG} and {WEIGHTS}.")
    parent = folder.parent if os.access(folder.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix=".push-") as name:
        link_model(folder, Path(name))
        yield Path(name)


def link_model(folder: Path, target: Path) -> None:
    """The files that are published, but for those that `write_card` writes, as hard links or copies in `target`."""
    for path in published_files(folder, MODEL_FILES):
        name = path.relative_to(folder)
        if name.as_posix() in (CARD, EVAL_RESULTS):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target / name)
        except OSError:
            shutil.copyfile(path, target / name)


def check_texts(files: Iterable[Path], token: str | None = None) -> None:
    """Refuse to publish a token, or a path of this machine.

    Raises:
        ValueError: names the file.
    """
    for file in files:
        if file.suffix in TEXTS:
            check_text(file.read_text(encoding="utf-8", errors="replace"), file.name, token)


def check_text(text: str, where: str, token: str | None = None) -> None:
    """Refuse a text with a token, `token` or any other, or with a path of this machine.

    Raises:
        ValueError: names `where`.
    """
    known = [one for one in (token, get_token()) if isinstance(one, str)]
    if TOKEN.search(text) or any(one in text for one in known):
        raise ValueError(f"{where} holds an access token: take it out before it is published.")
    here = [str(path) for path in (Path.home(), Path.cwd()) if len(path.parts) > 2 and str(path) in text]
    found = [match[0] for match in LOCAL_PATH.finditer(text)] + here
    if found:
        raise ValueError(f"{where} names the local path {found[0]}: take it out before it is published.")
