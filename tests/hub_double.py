"""A Hub on loopback for the real client (`HF_ENDPOINT`): one dataset repository, files in the commit itself, no LFS."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubDouble(ThreadingHTTPServer):
    """Attributes:

    files: path -> content, after the commits so far.
    commits: how many.
    broken: commits are refused.
    closed: others' repository.
    private: what the repository was created with; None before.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.commits, self.private = {}, 0, None
        self.broken = self.closed = False

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()

    @property
    def environment(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.server_address[1]}"
        return {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_test", "HF_HUB_DISABLE_XET": "1"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/datasets/user/plumes/auth-check/write":
            return self.reply({}, 403 if self.server.closed else 200)
        if "/tree/" in self.path:
            files = self.server.files.items()
            return self.reply([{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files])
        if self.path.startswith("/api/datasets/"):
            siblings = [{"rfilename": path} for path in self.server.files]
            return self.reply({"id": "user/plumes", "sha": "0" * 40, "siblings": siblings, "private": False})
        return self.reply({}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer hf_test":
            return self.reply({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            known, self.server.private = self.server.private is not None, b'"private"' in body
            address = f"{self.server.environment['HF_ENDPOINT']}/datasets/user/plumes"
            return self.reply({"url": address}, 409 if known else 200)
        if self.path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self.reply(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        if "/commit/" in self.path:
            return self.commit(body)
        return self.reply({}, 404)

    def commit(self, body):
        if self.server.broken:
            return self.reply({"error": "The Hub is full."}, 507)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "deletedFile":
                del self.server.files[value["path"]]
            elif entry["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
        self.server.commits += 1
        address = f"{self.server.environment['HF_ENDPOINT']}/datasets/user/plumes/commit/{'0' * 40}"
        return self.reply({"success": True, "commitUrl": address, "commitOid": "0" * 40, "hookOutput": ""})

    def reply(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass
