"""A Hugging Face Hub on loopback for the real client, over HTTP.

There are two servers: the Hub, and the CDN with the large files (LFS). The Hub redirects to the CDN, which has another
origin, as in reality, and must not receive the client's token.

    with LoopbackHub() as hub:
        hub.put("user/model", {"config.json": b"{}", "model.safetensors": weights})
        fault = hub.fault("GET /lfs/.*safetensors", drop_after=1000, times=1)
        subprocess.run(command, env={**os.environ, **hub.environment})
        assert fault.count == 1 and hub.requests[-1].headers["Range"] == "bytes=1000-"

Features that the library does not use are not implemented: pagination, discussions, tags, Xet, multipart uploads.
"""

import threading
import time
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import ThreadingHTTPServer
from pathlib import Path
from sys import exc_info
from types import SimpleNamespace

from hub_answers import CdnHandler, HubHandler
from hub_faults import Fault, FaultyHandler, Request
from hub_repositories import Blob, Commit, Repository

LARGE = ("*.safetensors", "*.parquet", "*.bin", "*.png", "*.webp")
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE).encode()


class LoopbackHub:
    """Attributes:

    users: the user of each token. A user may write to "user/..." and read public repositories.
    repositories: by (repo_type, repo_id).
    objects: large files by sha256, including those that are in no commit.
    requests: all requests to both servers.
    """

    def __init__(self):
        self.users = {"hf_test": "user", "hf_other": "other"}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.servers = [Server(self, "hub", HubHandler), Server(self, "cdn", CdnHandler)]
        # Different host names, because older clients consider two ports of one host as one origin.
        ports = [server.server_address[1] for server in self.servers]
        self.endpoint, self.cdn = f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}"

    def __enter__(self):
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        for fault in self.faults:
            fault.release()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for a subprocess, which also needs its own HF_HOME."""
        return {
            **{"HF_ENDPOINT": self.endpoint, "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"},
            **{"HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"},
        }

    def is_large(self, path: str, size: int) -> bool:
        """Whether a new file goes to LFS."""
        return size > 10_000_000 or any(fnmatch(path, pattern) for pattern in LARGE)

    def fault(self, pattern: str, **what) -> Fault:
        self.faults.append(Fault(pattern, **what))
        return self.faults[-1]

    def repository(self, repo_id: str, repo_type: str = "model") -> Repository:
        return self.repositories[repo_type, repo_id]

    def commits(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """The commits of a branch, newest first; the last one created the repository."""
        return list(self.repository(repo_id, repo_type).find(revision).history())

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        commit = self.repository(repo_id, repo_type).find(revision)
        return {path: blob.content for path, blob in commit.files.items()}

    def create(self, repo_id: str, repo_type: str = "model", **flags: bool) -> Repository:
        """Create a repository; `flags` are `private` and `gated`."""
        first = Commit({".gitattributes": Blob(GITATTRIBUTES, lfs=False)}, "initial commit", repo_id.split("/")[0])
        repository = Repository(repo_type, repo_id, heads={"refs/heads/main": first}, **flags)
        self.repositories[repo_type, repo_id] = repository
        return repository

    def put(
        self,
        repo_id: str,
        files: dict[str, bytes],
        private: bool = False,
        repo_type: str = "model",
        revision: str = "main",
        message: str = "Put files",
    ) -> Commit:
        """Commit to a branch without HTTP; repository and branch are created if they do not exist."""
        with self.lock:
            repository = self.repositories.get((repo_type, repo_id))
            repository = repository or self.create(repo_id, repo_type, private=private)
            parent = repository.find(revision if repository.ref(revision) else "main")
            blobs = {path: Blob(content, self.is_large(path, len(content))) for path, content in files.items()}
            self.objects |= {blob.sha256: blob.content for blob in blobs.values() if blob.lfs}
            commit = Commit(parent.files | blobs, message, repo_id.split("/")[0], parent)
            repository.heads[repository.ref(revision) or f"refs/heads/{revision}"] = commit
            return commit


class Server(ThreadingHTTPServer):
    def __init__(self, hub: LoopbackHub, name: str, handler: type[FaultyHandler]):
        super().__init__(("127.0.0.1", 0), handler)
        self.hub, self.name = hub, name

    def handle_error(self, request, client_address):
        if not isinstance(exc_info()[1], ConnectionError):  # the client closed the connection
            super().handle_error(request, client_address)


@contextmanager
def client_of(hub: LoopbackHub, folder: Path, monkeypatch):
    """Connect the client of this process to this Hub as "user", with its caches in `folder`.

    The client was imported in offline mode. It waits at most 10 ms between attempts.
    """
    import huggingface_hub

    quick = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(min(seconds, 0.01))})
    resolve = "/{repo_id}/resolve/{revision}/{filename}"
    settings = {
        "huggingface_hub.constants.ENDPOINT": hub.endpoint,
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.endpoint}{resolve}",
        "huggingface_hub.constants.HF_HUB_OFFLINE": False,
        "huggingface_hub.constants.HF_HUB_DISABLE_XET": True,
        "huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY": True,
        "huggingface_hub.constants.HF_HUB_CACHE": str(folder / "hub"),
        "huggingface_hub.constants.HF_TOKEN_PATH": str(folder / "token"),
        "huggingface_hub.hf_api.api.endpoint": hub.endpoint,
        "huggingface_hub.file_download.time": quick,
        "huggingface_hub.utils._http.time": quick,
        "datasets.config.HF_ENDPOINT": hub.endpoint,
        "datasets.config.HUB_DATASETS_URL": hub.endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}",
        "datasets.config.HF_HUB_OFFLINE": False,
        "datasets.config.HF_DATASETS_OFFLINE": False,
        "datasets.config.HF_UPDATE_DOWNLOAD_COUNTS": False,
        "datasets.config.HF_DATASETS_CACHE": folder / "datasets",
        "datasets.config.DOWNLOADED_DATASETS_PATH": folder / "datasets" / "downloads",
    }
    for name, value in settings.items():
        monkeypatch.setattr(name, value)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    huggingface_hub.close_session()
    huggingface_hub.HfFileSystem.clear_instance_cache()
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        huggingface_hub.HfFileSystem.clear_instance_cache()
