"""Processes that share out work which one Python lock would hold up, and that leave nothing behind."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

import cv2

from data.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_processes(
    count: int, what: str, prepare: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` processes, each prepared by `prepare(*arguments)`; `what` names the work when one of them dies.

    Left early, it drops the work that has not begun.
    """
    # Spawned, because a fork would copy the threads' locks of whatever library the caller has loaded.
    pool = ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_settle, initargs=(prepare, arguments)
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise DataError(
            f"a process that {what} died, killed from outside or for lack of memory; free some memory or set "
            "data.workers = 1, and start again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _settle(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Prepare a process: one thread for OpenCV, Ctrl-C is the parent's to handle, and its death is the end."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with_parent() -> None:
    """Without this a process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def in_order(pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """Results in the order of `items`, with no more than `ahead` of them begun before they are asked for."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
