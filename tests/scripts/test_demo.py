"""Mistakes with scripts/demo.py; tests/demo/ has the page."""

import socket
import sys

import pytest
from training_runs import run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--port 0", "error: port expects a number from 1 to 65535, found 0.\n"),
        ("--port {taken}", "error: Cannot listen on port {taken} of 127.0.0.1: Address already in use.\n"),
        ("--host 192.0.2.1", "error: Cannot listen on 192.0.2.1: Cannot assign requested address.\n"),
        ("--model runs/nothing", "runs/nothing"),
    ],
)
def test_mistakes_are_one_sentence(flags, message):
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        ended = run("demo.py", flags.format(taken=taken))
    assert ended.code == 2 and message.format(taken=taken) in ended.err and ended.err.count("\n") == 1


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    ended = run("demo.py", "")
    assert (ended.code, ended.err) == (2, "error: The demo needs gradio: pip install 'smoke-vq[demo]'.\n")
