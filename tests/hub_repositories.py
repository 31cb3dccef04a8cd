"""Repositories in memory: commits of files, with the checksums of git."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from hashlib import sha1, sha256


class Refused(Exception):
    """An error response with a status; `code` determines the exception that the client raises."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message.encode("ascii", "backslashreplace").decode(), **(headers or {})}
        if code is not None:
            self.headers["X-Error-Code"] = code


@dataclass(frozen=True)
class Blob:
    """The content of a file; with `lfs` the commit contains a pointer to it."""

    content: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        address = f"oid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return f"version https://git-lfs.github.com/spec/v1\n{address}".encode()

    @cached_property
    def oid(self) -> str:
        stored = self.pointer if self.lfs else self.content
        return sha1(b"blob %d\0" % len(stored) + stored).hexdigest()


@dataclass(frozen=True, eq=False)
class Commit:
    files: dict[str, Blob]
    message: str
    author: str
    parent: "Commit | None" = None
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def date(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @cached_property
    def sha(self) -> str:
        tree = [(path, blob.oid) for path, blob in sorted(self.files.items())]
        return sha1(repr((self.parent and self.parent.sha, self.message, self.date, tree)).encode()).hexdigest()

    def history(self) -> Iterator["Commit"]:
        """This commit, then its ancestors."""
        commit = self
        while commit is not None:
            yield commit
            commit = commit.parent

    def folders(self) -> set[str]:
        return {path[:end] for path in self.files for end, letter in enumerate(path) if letter == "/"}


@dataclass(eq=False)
class Repository:
    """`heads`: the commit of each ref: refs/heads/main, refs/tags/v1, refs/pr/1."""

    kind: str
    id: str
    private: bool = False
    gated: bool = False
    heads: dict[str, Commit] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/{self.id}" if self.kind == "model" else f"/datasets/{self.id}"

    def ref(self, revision: str) -> str | None:
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.heads), None)

    def find(self, revision: str) -> Commit:
        """The commit of a branch, a pull request (refs/pr/1) or a sha."""
        ref = self.ref(revision)
        commits = [self.heads[ref]] if ref else []
        commits += [c for head in self.heads.values() for c in head.history() if c.sha == revision]
        if not commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commits[0]
