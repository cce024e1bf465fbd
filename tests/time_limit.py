"""A bound on the time that anything takes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(BaseException):
    """Nothing that is tried may take this for its own: TimeoutError is an OSError, which readers of files expect."""


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """TookTooLong for what takes longer, a pipe that nobody writes to included."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"still at work after {seconds} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
