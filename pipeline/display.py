"""What a person sees while a run works: bars in a terminal, a plain log elsewhere; and how they stop it.

Stages ask for a `task` and pass the callable on; the packages below only know `data.progress.Progress`.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from data.errors import Interrupted
from data.progress import Progress as Listener
from data.secrets import masked

LOG_SECONDS = 15.0

CONTROLS = {code: "\ufffd" for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class Display:
    """One display for a whole command; also the place that notices a request to stop."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=False, highlight=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._stop: int | None = None

    @contextmanager
    def listening(self) -> Iterator["Display"]:
        """Turn the first Ctrl-C or SIGTERM into a stop after the current step; a second one stops at once."""
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in old:
            signal.signal(number, self._request_stop)
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _request_stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stop is not None:
            raise Interrupted(128 + number)
        self._stop = 128 + number
        self._say_from_handler("stopping after this step; once more to stop at once")

    def _say_from_handler(self, text: str) -> None:
        """Print a line past the buffer: the signal may have come in the middle of a write, which cannot be entered."""
        try:
            os.write(self.console.file.fileno(), f"{text}\n".encode())
        except (OSError, ValueError):
            self.console.print(text)  # a file in memory, or none

    def check_stop(self) -> None:
        """Raise Interrupted when the user has asked to stop."""
        if self._stop is not None:
            raise Interrupted(self._stop)

    def say(self, text: str, style: str | None = None) -> None:
        """Print one line as it is: names and paths may hold brackets."""
        self.console.print(printable(text), style=style, markup=False, emoji=False)

    def warn(self, text: str) -> None:
        """Print one line that deserves a look."""
        self.console.print("[yellow]warning:[/yellow]", end=" ")
        self.say(text)

    @contextmanager
    def task(self, label: str) -> Iterator[Listener]:
        """A bar (or a line now and then) for one piece of work."""
        if self.console.is_terminal:
            with self._bar(label) as listener:
                yield listener
        else:
            yield self._log(label)

    @contextmanager
    def _bar(self, label: str) -> Iterator[Listener]:
        outermost = self._bars is None
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TimeRemainingColumn(), TextColumn("[dim]{task.fields[figures]}"), console=self.console, transient=True,
            )  # fmt: skip
            self._bars.start()
        bars = self._bars
        task: TaskID = bars.add_task(escape(label), total=None, figures="")

        def listener(done: int, total: int, **figures: float) -> None:
            bars.update(task, completed=done, total=total, figures=format_figures(figures))
            self.check_stop()

        try:
            yield listener
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None

    def _log(self, label: str) -> Listener:
        began = last = time.monotonic()
        first: int | None = None

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last, first
            now = time.monotonic()
            # Work that goes on from a saved state did not do its first steps now.
            first = done - 1 if first is None else first
            if now - last >= LOG_SECONDS:
                last = now
                left = (now - began) * (total - done) / max(done - first, 1)
                self.say(f"{label}: {done}/{total}, {left:,.0f} s left  {format_figures(figures)}".rstrip())
            self.check_stop()

        return listener


def printable(text: str) -> str:
    """A message without terminal codes, which an id or a file's name may hold, and without passwords.

    Bytes of a path that are no text are shown as what they are: unknown.
    """
    return masked(text.translate(CONTROLS)).encode("utf-8", "replace").decode()


def format_figures(figures: dict[str, float]) -> str:
    """`loss 0.321  images/s 1,240`."""
    return "  ".join(f"{name.replace('_per_second', '/s').replace('_', ' ')} {short(x)}" for name, x in figures.items())


def short(value: float) -> str:
    """Three or four figures, readable."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
