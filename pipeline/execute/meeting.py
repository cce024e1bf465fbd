"""How the processes that train one model together find each other, and how each learns that another has ended.

Who they are is said in the variables that `torchrun` sets; `--devices` sets the same ones for the processes it starts.
Orders travel in a group of their own that waits for days, because nothing is asked of the others in stage two. Keys of
the common store say that a process has failed, or that the leading one is gone, so that none waits for the dead.

Processes of one machine meet on its loopback device alone: nobody on the network can look in. Other users of the
machine can, and PyTorch's store lists its names to them; so the two keys of ours are named by a hash of a secret that
only these processes have in their surroundings. Nobody else can guess them before they are set.
"""

import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from data import errors
from data.errors import FusionNetXError, TrainingError
from image_models.training.distributed import Ranks, broadcast_bytes

FAILED, OVER, STORE = "fusionnetx/failed", "fusionnetx/over", "fusionnetx/store"
LOOK_SECONDS = 0.5
GRACE_SECONDS = 15.0
"""What the leading process is given to notice by itself that another has failed; NCCL would wait for half an hour."""
LONGEST_RUN = timedelta(days=60)
LOOPBACK, SECRET = "127.0.0.1", "FUSIONNETX_MEETING"
"""Where the processes of one machine meet, and the variable that names their store."""
WAITING_CALLERS = 128
CONNECTION_WORDS = ("gloo", "nccl", "connection", "broken pipe", "tcpstore", "recvvalue", "sendbytes")
"""What PyTorch says, by way of one of these, when another process is gone."""


@dataclass
class Meeting:
    """The processes that have found each other."""

    ranks: Ranks
    on_this_machine: int
    """How many of them share this machine's processors."""
    store: Any
    orders: Any
    """The group that orders travel in."""
    secret: str = ""
    """What only these processes know; empty where a launcher of the user's brought them together."""
    left: threading.Event = field(default_factory=threading.Event)
    watching: list[threading.Thread] = field(default_factory=list)

    def order(self, text: str = "") -> str:
        """The leading process's next order, in every process."""
        return broadcast_bytes(text.encode(), self.orders).decode()

    def key(self, name: str) -> str:
        """How the store names a key of ours."""
        return hidden(self.secret, name) if self.secret else name

    def report_failure(self, error: BaseException) -> None:
        """Tell the leading process why this one ends."""
        known = isinstance(error, FusionNetXError)
        kind = type(error).__name__ if known else "TrainingError"
        text = str(error) if known else f"{type(error).__name__}: {error}"
        self.store.set(
            self.key(FAILED), json.dumps([kind, f"process {self.ranks.number + 1} of {self.ranks.count}: {text}"])
        )

    def failure(self, patience: float = 0.0) -> FusionNetXError | None:
        """What another process ended with, waiting a little for its last word."""
        until = time.monotonic() + patience
        while not self.store.check([self.key(FAILED)]):
            if time.monotonic() >= until:
                return None
            time.sleep(LOOK_SECONDS / 5)
        return failure_from(self.store.get(self.key(FAILED)))

    def over(self) -> bool:
        """Whether the leading process has done with the others, or is gone."""
        try:
            return bool(self.store.check([self.key(OVER)]))
        except RuntimeError:
            return True

    def end(self) -> None:
        """Tell the others that the leading process has done with them."""
        self.store.set(self.key(OVER), "")

    def watch(
        self, key: str, then: Callable[[], None], grace: float = 0.0, *, or_when: Callable[[], bool] = bool
    ) -> None:
        """Do something, in a thread, some seconds after a key is set, the store is gone, or something else is so."""

        def look() -> None:
            try:
                while not (self.store.check([self.key(key)]) or or_when()):
                    if self.left.wait(LOOK_SECONDS):
                        return
            except RuntimeError:
                pass  # whoever kept the store is gone
            if not self.left.wait(grace):
                then()

        self.watching.append(threading.Thread(target=look, daemon=True, name=f"watches {key}"))
        self.watching[-1].start()

    def leave(self) -> None:
        """Watch no more: a thread that is in the store while Python ends takes the whole process down."""
        self.left.set()
        for thread in self.watching:
            if thread is not threading.current_thread():
                thread.join(GRACE_SECONDS)


def meet(place: Mapping[str, str] = os.environ, store: Any = None) -> Meeting:
    """Join the others; returns when all are there. `store` is the one that this process has opened for them, if any."""
    names = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
    number, count, local, on_this_machine = (int(place[name]) for name in names)
    backend = "gloo"
    if torch.cuda.is_available():
        require_gpus(on_this_machine)
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    if SECRET in place:
        stay_on_loopback()
    if store is None:
        store, _, _ = next(rendezvous("env://"))
        store = PrefixStore(hidden(place[SECRET], STORE), store) if SECRET in place else store
    distributed.init_process_group(backend, store=store, rank=number, world_size=count)
    orders = distributed.new_group(backend="gloo", timeout=LONGEST_RUN)
    return Meeting(Ranks(number, count), on_this_machine, store, orders, place.get(SECRET, ""))


def require_gpus(wanted: int) -> None:
    """Refuse more processes than this machine has GPUs."""
    found = torch.cuda.device_count()
    if found < wanted:
        raise TrainingError(
            f"{wanted} processes were asked for, but this machine has {found} GPUs, one for each: ask for {found} "
            "(--devices or --nproc-per-node), or hide them all to train on processors (CUDA_VISIBLE_DEVICES=)"
        )


def meeting_place(count: int) -> tuple[Any, dict[str, str]]:
    """A store for so many processes of this machine, and the variables that lead them to it."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen(WAITING_CALLERS)
        port = listening.getsockname()[1]
        # Left to itself the store would listen to the whole network. It closes the descriptor that it is given.
        descriptor = os.dup(listening.fileno())
        store = TCPStore(LOOPBACK, port, count, is_master=True, wait_for_workers=False, master_listen_fd=descriptor)
    secret = secrets.token_hex(16)
    place = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port), SECRET: secret}
    return PrefixStore(hidden(secret, STORE), store), place | {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}


def hidden(secret: str, name: str) -> str:
    """A name that tells nobody the secret, and that nobody can tell without it."""
    return hashlib.sha256(f"{secret}/{name}".encode()).hexdigest()


def stay_on_loopback() -> None:
    """Let gloo and NCCL listen on this machine's loopback device alone, unless the user has named another."""
    name = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if name is not None:
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(variable, name)


def failure_from(word: bytes) -> FusionNetXError:
    """The error that another process reported; whatever it reported, it is one of the project's."""
    try:
        kind, message = json.loads(word)
        known = getattr(errors, str(kind), None)
    except (ValueError, TypeError):
        return TrainingError("another process failed and did not say how; run again to go on")
    if isinstance(known, type) and issubclass(known, FusionNetXError):
        return known(str(message))
    return TrainingError(str(message))


def connection_lost(error: BaseException) -> bool:
    """Whether an error is how PyTorch says that another process is gone."""
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in CONNECTION_WORDS)
