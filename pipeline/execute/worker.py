"""A process that does jobs for another one on this machine: it takes orders from a socket until that one is gone.

Everything travels as lines of JSON: orders and the wish to stop one way; what a display would show, and answers, the
other. The socket is inherited, so nobody else can speak on it.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from threadpoolctl import threadpool_limits

from pipeline.execute.order import Order, carry_out
from pipeline.execute.relay import Event, RelayDisplay
from pipeline.memory import keep_freed_memory

STOP = "stop"
"""The line that asks a worker to save its state and end its job."""


class Line:
    """One end of a socket that carries lines."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._buffer = bytearray()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, message: Any) -> None:
        """Send one message; OSError when the other end is gone."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> Iterator[Any]:
        """Messages that are there, waiting for the first; EOFError when the other end is gone."""
        if b"\n" not in self._buffer:
            if not select.select([self._socket], [], [], seconds)[0]:
                return
            arrived = self._socket.recv(2**16)
            if not arrived:
                raise EOFError
            self._buffer += arrived
        while b"\n" in self._buffer:
            line, _, rest = bytes(self._buffer).partition(b"\n")
            self._buffer = bytearray(rest)
            yield json.loads(line)

    def close(self) -> None:
        """Let the other end notice."""
        self._socket.close()


def work(line: Line) -> None:
    """Do jobs one after the other; ends when nobody is there to give another."""
    stopping = False

    def tell(events: list[Event]) -> bool:
        nonlocal stopping
        if events:
            line.send({"events": events})
        stopping = stopping or any(message == STOP for message in line.receive(0.0))
        return stopping

    while True:
        for message in line.receive():
            if message == STOP:
                stopping = True
                continue
            order = Order.from_json(message["order"])
            with threadpool_limits(order.job.cpus, user_api="blas"):
                line.send({"answer": carry_out(order, RelayDisplay(tell, "job"))})


def load() -> None:
    """Import what image models need while the images are packed elsewhere: it takes seconds."""
    import_module("image_models.training.train")
    import_module("pipeline.plan")


def end_with(leader: socket.socket) -> None:
    """End this process, whatever it is at, once the other end of a socket is gone.

    Else it would go on writing for a moment, beside whoever does the same job again.
    """
    watch = select.poll()
    watch.register(leader, getattr(select, "POLLRDHUP", select.POLLHUP))
    watch.poll()
    os._exit(0)


def main() -> int:
    """Serve the process that started this one."""
    # A request to stop is for the leading process, which passes it on.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    leader = socket.socket(fileno=int(sys.argv[1]))
    line = Line(leader)
    threading.Thread(target=end_with, args=(leader,), daemon=True).start()
    load()
    try:
        work(line)
    except (EOFError, OSError):
        # Whoever gave the orders is gone; what is done is in the run folder.
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
