"""Processes that do jobs for another one on this machine: each takes orders from a socket until that one is gone.

Everything travels as lines of JSON: orders and the wish to stop one way; what a display would show, and answers, the
other. The sockets are inherited or handed over, so nobody else can speak on them. One process loads PyTorch and is then
copied for each worker, because loading takes seconds; it has done nothing else, on a GPU least of all.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from threadpoolctl import threadpool_limits

from pipeline.memory import keep_freed_memory

if TYPE_CHECKING:
    from pipeline.execute.relay import Event

STOP = "stop"
"""The line that asks a worker to save its state and end its job."""
COPIES = sys.platform == "linux"
"""Elsewhere libraries do not bear to be copied: the process that has loaded becomes the one worker of its own."""


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
    # Not before: polars, which comes with these, starts threads of its own, and a copied process would lack them.
    from pipeline.execute.order import Order, carry_out
    from pipeline.execute.relay import RelayDisplay

    stopping = False

    def tell(events: "list[Event]") -> bool:
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


def load(leader: socket.socket) -> None:
    """Import what image models need while the images are packed elsewhere; ends early where nobody waits for it."""
    for module in ("torch", "image_models.training.train"):
        import_module(module)
        if select.select([leader], [], [], 0)[0] and not leader.recv(1, socket.MSG_PEEK):
            sys.exit()


def end_with(leader: socket.socket) -> None:
    """End this process, whatever it is at, once the other end of a socket is gone.

    Else it would go on writing for a moment, beside whoever does the same job again.
    """
    watch = select.poll()
    watch.register(leader, getattr(select, "POLLRDHUP", select.POLLHUP))
    watch.poll()
    os._exit(0)


def copy_for_each(leader: socket.socket) -> None:
    """Become one more worker for every socket that is handed over; of a number, tell how that worker ended."""
    while True:
        said, handed_over, _, _ = socket.recv_fds(leader, 2**16, 1)
        if not said:
            return
        asked = json.loads(said)
        if not handed_over:
            code = os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1])
            leader.sendall(b"%d\n" % code)
        elif not COPIES or not os.fork():
            leader.sendall(b"%d\n" % os.getpid())
            leader.close()
            os.environ.update(asked)
            be_a_worker(socket.socket(fileno=handed_over[0]))
        for handle in handed_over:
            os.close(handle)


def be_a_worker(leader: socket.socket) -> NoReturn:
    """Work for whoever speaks on a socket, in a session of its own; end with it, and without what was to do before."""
    if COPIES:
        os.setsid()
    threading.Thread(target=end_with, args=(leader,), daemon=True).start()
    try:
        work(Line(leader))
    except (EOFError, OSError):
        # Whoever gave the orders is gone; what is done is in the run folder.
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def main() -> int:
    """Load, then be copied."""
    # A request to stop is for the leading process, which passes it on.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    # Python 3.12 warns of any thread; those of numpy's BLAS, which is made for being copied, are the only ones.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*multi-threaded")
    leader = socket.socket(fileno=int(sys.argv[1]))
    load(leader)
    copy_for_each(leader)
    return 0


if __name__ == "__main__":
    sys.exit(main())
