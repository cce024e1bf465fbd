"""Serve the page of a run to a browser on this machine, until it is stopped."""

import os
import socket
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from data.errors import DataError
from pipeline.inputs import Inputs
from pipeline.page.app import application
from pipeline.page.guard import LEADS_ON, Guard
from pipeline.page.opened import Opened
from pipeline.page.page import Page
from pipeline.runtime import Runtime

LOOPBACK = "127.0.0.1"
OPENING = "open.html"


def run_page(inputs: Inputs, runtime: Runtime, port: int = 0, *, browser: bool = True) -> None:
    """Open the run, print the address, serve."""
    taken = bound(port)
    with runtime.display.task(f"opening {inputs.run.folder}"):
        page = Page.of(Opened(inputs, runtime))
    guard = application(page, f"{LOOPBACK}:{taken.getsockname()[1]}")
    if page.opened.trouble:
        runtime.display.warn(f"{page.opened.trouble}; only new patients can be shown")
    runtime.display.say(f"the page of {inputs.run.folder}, for this machine alone (Ctrl-C ends it):")
    # Past the display, which hides what looks like a secret: this one is for whoever started the page.
    runtime.display.console.print(guard.address, markup=False, highlight=False, soft_wrap=True)
    with leading_to(guard, page.work.path.with_name(OPENING)) as file:
        if browser:
            webbrowser.open(file.resolve().as_uri())
        server(guard).run(sockets=[taken])


@contextmanager
def leading_to(guard: Guard, path: Path) -> Iterator[Path]:
    """A file that leads to the page: every user of a machine sees the words that a browser is started with."""
    path.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as handle:
            handle.write(LEADS_ON.format(guard.address, "data:,"))
        yield path
    finally:
        path.unlink(missing_ok=True)


def server(app: object) -> uvicorn.Server:
    """What answers on the socket."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def bound(port: int) -> socket.socket:
    """A socket of this machine's own network; DataError where the port is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port))
        # From here on a browser waits for an answer, however long the start takes.
        found.listen(128)
    except OSError as error:
        found.close()
        raise DataError(f"port {port} cannot be taken ({error.strerror}); leave out --port, or name another") from error
    return found
