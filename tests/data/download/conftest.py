"""A server on this machine that fails in every way servers do."""

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data.download.http import Patience


@dataclass
class Behaviour:
    """What the server does wrong; nothing unless told."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tags: bool = True
    break_after: int | None = None
    """Bytes of an answer after which the connection breaks."""
    resets: bool = False
    """Whether it breaks by a reset, as a router does, and not by an end."""
    redirects: bool = False
    """Whether every answer sends the caller to the same address again."""
    breaks: int = 10**9
    """How often it does."""
    overstate: int = 0
    """Bytes by which the stated length of a GET is wrong."""
    firmly: bool = False
    """Whether that of a HEAD is just as wrong."""
    spoil: int = 0
    """How many answers have a wrong byte in their middle."""
    statuses: list[int] = field(default_factory=list)
    """Answers given before the first proper one."""
    before_get: Callable[["Behaviour", str], None] = lambda behaviour, name: None
    """Called before a GET is answered: to change a file meanwhile."""
    silent: bool = False
    """Whether it states no length."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, file and range of every request."""

    def tag(self, name: str) -> str:
        """As S3 tags a file that came in one piece."""
        return f'"{hashlib.md5(self.files[name]).hexdigest()}"'

    def gets(self, name: str) -> list[str | None]:
        """The ranges asked of a file."""
        return [what for method, of, what in self.asked if method == "GET" and of == name]


@dataclass
class Server:
    """An address and how it behaves."""

    address: str
    does: Behaviour

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


class Handler(BaseHTTPRequestHandler):
    """Answers as the behaviour says."""

    does: Behaviour

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        does, name = self.does, self.path.lstrip("/")
        does.asked.append((self.command, name, self.headers.get("Range")))
        if does.redirects:
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return
        if does.statuses:
            self.send_error(does.statuses.pop(0))
            return
        if body:
            does.before_get(does, name)
        if name not in does.files:
            self.send_error(404)
            return
        data = does.files[name]
        start, stop, partial = 0, len(data), False
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if wanted and does.ranges and condition in (None, does.tag(name)):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop, partial = int(first), min(int(last) + 1 if last else len(data), len(data)), True
            if start >= len(data):
                self.send_error(416)
                return
        sent = data[start:stop]
        if body and does.spoil and len(sent) > 2:
            does.spoil -= 1
            middle = len(sent) // 2
            sent = sent[:middle] + bytes([sent[middle] ^ 1]) + sent[middle + 1 :]
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        if not does.silent:
            self.send_header("Content-Length", str(len(sent) + (does.overstate if body or does.firmly else 0)))
        if does.tags:
            self.send_header("ETag", does.tag(name))
        self.end_headers()
        if not body:
            return
        if does.break_after is not None and does.breaks > 0 and len(sent) > does.break_after:
            does.breaks -= 1
            sent = sent[: does.break_after]
            self.close_connection = True
        self.wfile.write(sent)
        if does.resets and len(sent) == does.break_after:
            threading.Event().wait(0.02)  # the reset must not overtake the bytes
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of this test alone."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    behaviour = Behaviour()
    handler = type("OwnHandler", (Handler,), {"does": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(f"http://127.0.0.1:{running.server_port}", behaviour)
        running.shutdown()
        thread.join()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Patience:
    """Four tries, no waiting."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return Patience(tries=4, first_wait_s=1.0, timeout_s=5.0)
