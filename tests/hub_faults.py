"""Network faults for tests, and a request handler that applies them."""

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from re import search
from typing import NamedTuple
from urllib.parse import unquote


class Request(NamedTuple):
    """A request to server "hub" or "cdn"; `path` is unquoted and includes the query."""

    server: str
    method: str
    path: str
    headers: Message


class Answer(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012  (never modified)


def as_json(content, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})


@dataclass(eq=False)
class Fault:
    """Affects requests whose "METHOD path" matches the pattern; if several faults match, only the first one.

    Args:
        pattern: a regular expression.
        times: number of affected requests; None for all until it is removed.
        status: HTTP status of the answer; the request has no effect.
        drop: the connection is closed and the request has no effect.
        lost: the request has its effect, but the connection is closed without an answer.
        drop_after: the connection is closed after so many bytes of the upload (PUT and POST), or otherwise of the
            answer.
        flip: index of a byte in the answer's body whose bits are flipped.
        delay: seconds before the request is handled.
        hold: the request is handled after `release()`.
    """

    pattern: str
    times: int | None = None
    status: int | None = None
    drop: bool = False
    lost: bool = False
    drop_after: int | None = None
    flip: int | None = None
    delay: float = 0
    hold: bool = False
    count: int = field(default=0, init=False)
    released: threading.Event = field(default_factory=threading.Event, init=False)
    applied: threading.Event = field(default_factory=threading.Event, init=False)

    def applies_to(self, request: Request) -> bool:
        if self.count == self.times or not search(self.pattern, f"{request.method} {request.path}"):
            return False
        self.count += 1
        self.applied.set()
        return True

    def wait(self, timeout: float = 10) -> None:
        """Wait for the first affected request."""
        if not self.applied.wait(timeout):
            raise TimeoutError(f"No request matched '{self.pattern}' in {timeout} s.")

    def remove(self) -> None:
        """Affect no further requests; held requests are still held."""
        self.times = self.count

    def release(self) -> None:
        """Affect no further requests, and handle the held ones."""
        self.remove()
        self.released.set()


class FaultyHandler(BaseHTTPRequestHandler):
    """Records a request, applies its fault, and sends what `answer(body)` returns."""

    disable_nagle_algorithm = True

    def serve(self):
        hub, request = self.server.hub, Request(self.server.name, self.command, unquote(self.path), self.headers)
        with hub.lock:
            hub.requests.append(request)
            fault = next((fault for fault in hub.faults if fault.applies_to(request)), Fault(""))
        if fault.hold:
            fault.released.wait()
        time.sleep(fault.delay)
        if fault.drop:
            return self.disconnect()
        uploads = self.command in ("PUT", "POST")
        body = self.receive(fault.drop_after if uploads else None)
        if uploads and fault.drop_after is not None:
            return self.disconnect()
        if fault.status is not None:
            answer = as_json({"error": f"A fault at '{fault.pattern}'."}, fault.status)
        else:
            with hub.lock:
                answer = self.answer(body)
        self.disconnect() if fault.lost else self.send(answer, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def receive(self, limit: int | None) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(length if limit is None else min(length, limit))
        body = b""
        while (limit is None or len(body) < limit) and (length := int(self.rfile.readline() or b"0", 16)):
            body += self.rfile.read(length)
            self.rfile.readline()
        return body

    def send(self, answer: Answer, fault: Fault) -> None:
        body = bytearray(answer.body)
        if fault.flip is not None:
            body[fault.flip] ^= 0xFF
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: fault.drop_after])
        if fault.drop_after is not None:
            self.disconnect()

    def disconnect(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments):
        pass
