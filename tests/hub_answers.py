"""Responses of the two servers of the Hub on loopback to the client of huggingface_hub."""

import base64
import json
import re
from hashlib import sha1, sha256
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_faults import Answer, FaultyHandler, as_json
from hub_repositories import Blob, Commit, Refused, Repository


class CdnHandler(FaultyHandler):
    """Large files at /lfs/<sha256>; no login is needed, as with signed URLs."""

    def answer(self, body: bytes) -> Answer:
        objects, oid = self.server.hub.objects, urlsplit(self.path).path.removeprefix("/lfs/")
        if self.command == "PUT":
            if sha256(body).hexdigest() != oid:
                return as_json({"error": "The content does not match its address."}, 400)
            objects[oid] = body
            return Answer()
        if oid not in objects:
            return as_json({"error": "No such object."}, 404)
        return part(objects[oid], self.headers, ETag=f'"{oid}"')


def part(content: bytes, request_headers, **headers: str) -> Answer:
    """The content, or the bytes that a Range header requests."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request_headers.get("Range", ""))
    if not wanted:
        return Answer(content, 200, headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= stop:
        return Answer(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
    return Answer(content[start:stop], 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})


class HubHandler(FaultyHandler):
    """Answers the requests in ROUTES."""

    def answer(self, body: bytes) -> Answer:
        address = urlsplit(self.path)
        self.hub, self.body, self.query = self.server.hub, body, parse_qs(address.query)
        method = "GET" if self.command == "HEAD" else self.command
        try:
            for route, (right, action) in ROUTES.items():
                if found := re.fullmatch(route, f"{method} {address.path}"):
                    names = {name: unquote(value or "") for name, value in found.groupdict().items()}
                    if right:
                        names["repository"] = self.open(right, names.pop("kind"), names.pop("id"))
                    return action(self, **names)
            raise Refused(404, f"{self.command} {address.path} is not implemented.")
        except Refused as refusal:
            return as_json({"error": str(refusal)}, refusal.status, refusal.headers)

    @property
    def user(self) -> str | None:
        header = self.headers.get("Authorization")
        if header and header.removeprefix("Bearer ") not in self.hub.users:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.users[header.removeprefix("Bearer ")] if header else None

    def login(self) -> str:
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        return self.user

    def open(self, right: str, kind: str, repo_id: str) -> Repository:
        """The repository, if the user may "read" or "write" it, or is logged in and wants to "propose" a change."""
        repository = self.hub.repositories.get((kind.rstrip("/").rstrip("s") or "model", repo_id))
        owned = self.user == repo_id.split("/")[0]
        if repository is None or (repository.private and not owned):
            raise Refused(404 if self.user else 401, "Repository not found", "RepoNotFound")
        if right != "read":
            self.login()
        if right == "write" and not owned and "create_pr" not in self.query:
            raise Refused(403, f"Authorization error: you have no right to write to {repo_id}")
        return repository

    def agent_harnesses(self) -> Answer:
        return as_json({"standardEnvVars": [], "harnesses": {}})

    def validate_yaml(self) -> Answer:
        return as_json({"errors": [], "warnings": []})

    def create_repo(self) -> Answer:
        requested = json.loads(self.body)
        owner, kind = requested.get("organization") or self.login(), requested.get("type") or "model"
        if self.login() != owner:
            raise Refused(403, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
        known = self.hub.repositories.get((kind, f"{owner}/{requested['name']}"))
        private = bool(requested.get("private")) or requested.get("visibility") == "private"
        repository = known or self.hub.create(f"{owner}/{requested['name']}", kind, private=private)
        url = {"url": self.hub.endpoint + repository.path, "name": repository.id}
        return as_json({**url, "error": f"You already created this {kind} repo"}, 409) if known else as_json(url)

    def granted(self, repository: Repository) -> Answer:
        return as_json({})

    def info(self, repository: Repository, revision: str = "main") -> Answer:
        commit = repository.find(revision)
        sized = "blobs" in self.query
        siblings = [
            {"rfilename": path} | ({"size": len(blob.content)} if sized else {})
            for path, blob in sorted(commit.files.items())
        ]
        return as_json(
            {
                **{"id": repository.id, "author": repository.id.split("/")[0], "sha": commit.sha, "tags": []},
                **{"private": repository.private, "gated": "auto" if repository.gated else False, "disabled": False},
                **{"lastModified": commit.date, "siblings": siblings, "downloads": 0, "likes": 0},
            }
        )

    def tree(self, repository: Repository, revision: str, folder: str = "") -> Answer:
        commit = repository.find(revision)
        if folder and folder not in commit.folders():
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        prefix = f"{folder}/" if folder else ""
        names = {name for name in (*commit.files, *commit.folders()) if name.startswith(prefix)}
        if "true" not in str(self.query.get("recursive")).lower():
            names = {name for name in names if name.count("/") == prefix.count("/")}
        return as_json([entry(commit, name) for name in sorted(names)])

    def create_branch(self, repository: Repository, branch: str) -> Answer:
        ref = f"refs/heads/{branch}"
        if ref in repository.heads:
            raise Refused(409, f"Reference already exists: {ref}")
        repository.heads[ref] = repository.find("main")
        return as_json({})

    def preupload(self, repository: Repository, revision: str) -> Answer:
        known, files = repository.find(revision).files, []
        for file in json.loads(self.body)["files"]:
            blob = known.get(file["path"])
            mode = "lfs" if self.hub.is_large(file["path"], file["size"]) else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
            if blob:
                files[-1]["oid"] = blob.sha256 if blob.lfs else blob.oid
        return as_json({"files": files})

    def lfs_batch(self, repository: Repository) -> Answer:
        objects = json.loads(self.body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.objects:
                verify = f"{self.hub.endpoint}{repository.path}.git/info/lfs/objects/verify"
                upload = f"{self.hub.cdn}/lfs/{item['oid']}"
                item["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        return as_json({"transfer": "basic", "objects": objects})

    def lfs_verify(self, repository: Repository) -> Answer:
        requested = json.loads(self.body)
        if len(self.hub.objects.get(requested["oid"], b"")) != requested["size"]:
            raise Refused(404, f"Object {requested['oid']} did not arrive")
        return as_json({})

    def commit(self, repository: Repository, revision: str) -> Answer:
        header, *operations = ((line["key"], line["value"]) for line in map(json.loads, self.body.splitlines()))
        ref, parent = repository.ref(revision), repository.find(revision)
        if header[1].get("parentCommit") not in (None, parent.sha):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        if proposed := "create_pr" in self.query:
            ref = f"refs/pr/{sum(name.startswith('refs/pr/') for name in repository.heads) + 1}"
        if ref is None or ref.startswith("refs/tags/"):
            raise Refused(400, f"{revision} is not a branch")
        files = dict(parent.files)
        for key, value in operations:
            path = value["path"]
            if key == "file":
                files[path] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise Refused(400, f"Your push was rejected because an LFS pointer pointed to no object: {path}")
                files[path] = Blob(self.hub.objects[value["oid"]], lfs=True)
            elif key == "deletedFile":
                if files.pop(path, None) is None:
                    raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            else:
                raise Refused(400, f"Unknown operation: {key}")
        commit = repository.heads[ref] = Commit(files, header[1]["summary"], self.user, parent)
        url = self.hub.endpoint + repository.path
        answer = {"success": True, "commitUrl": f"{url}/commit/{commit.sha}", "commitOid": commit.sha, "hookOutput": ""}
        if proposed:
            answer["pullRequestUrl"] = f"{url}/discussions/{ref.rpartition('/')[2]}"
        return as_json(answer)

    def resolve(self, repository: Repository, revision: str, path: str) -> Answer:
        commit = repository.find(revision)
        if repository.gated and self.user != repository.id.split("/")[0]:
            raise Refused(403 if self.user else 401, f"Access to {repository.id} is restricted.", "GatedRepo")
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha})
        blob = commit.files[path]
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.oid}"'}
        if not blob.lfs:
            return part(blob.content, self.headers, **headers)
        location = f"{self.hub.cdn}/lfs/{blob.sha256}?filename={quote(path.rpartition('/')[2])}"
        linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
        return Answer(b"", 302, {**headers, **linked, "Location": location})


def entry(commit: Commit, path: str) -> dict:
    """The entry of a file or folder in /tree."""
    if path in commit.files:
        return file_entry(commit, path)
    return {"type": "directory", "path": path, "size": 0, "oid": sha1(path.encode()).hexdigest()}


def file_entry(commit: Commit, path: str) -> dict:
    blob = commit.files[path]
    described = {"type": "file", "path": path, "size": len(blob.content), "oid": blob.oid}
    if blob.lfs:
        described["lfs"] = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}
    return described


_API = "/api/(?P<kind>models|datasets)/(?P<id>[^/]+/[^/]+)"
_REPO = "/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+?)"
_REVISION = "(?P<revision>[^/]+)"
# Method and path: the required right, and the method that answers.
ROUTES = {
    "GET /api/agent-harnesses": (None, HubHandler.agent_harnesses),
    "POST /api/validate-yaml": (None, HubHandler.validate_yaml),
    "POST /api/repos/create": (None, HubHandler.create_repo),
    f"GET {_API}/auth-check": ("read", HubHandler.granted),
    f"GET {_API}/auth-check/write": ("write", HubHandler.granted),
    f"GET {_API}": ("read", HubHandler.info),
    f"GET {_API}/revision/{_REVISION}": ("read", HubHandler.info),
    f"GET {_API}/tree/{_REVISION}(/(?P<folder>.+))?": ("read", HubHandler.tree),
    f"POST {_API}/branch/(?P<branch>[^/]+)": ("write", HubHandler.create_branch),
    f"POST {_API}/preupload/{_REVISION}": ("write", HubHandler.preupload),
    f"POST {_REPO}\\.git/info/lfs/objects/batch": ("propose", HubHandler.lfs_batch),
    f"POST {_REPO}\\.git/info/lfs/objects/verify": ("propose", HubHandler.lfs_verify),
    f"POST {_API}/commit/{_REVISION}": ("write", HubHandler.commit),
    f"GET {_REPO}/resolve/{_REVISION}/(?P<path>.+)": ("read", HubHandler.resolve),
}
