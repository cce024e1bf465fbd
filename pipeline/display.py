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
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from data.errors import Interrupted
from data.progress import Progress as Listener
from data.secrets import masked

LOG_SECONDS = 15.0
KEPT_SECONDS = 1.0
"""Work that took longer than this leaves a line in a terminal when its bar goes."""
WIDE, WIDE_BAR, NARROW_BAR = 110, 40, 12
"""Columns of a terminal from which on a bar is long, and how long bars are."""
TIMES = 35
"""Columns of `12,800/401,059`, both times, and the gaps between all parts."""

CONTROLS = {code: "\ufffd" for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class Display:
    """One display for a whole command; also the place that notices a request to stop."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=False, highlight=False)
        if console is None:
            # A log keeps a message on one line, for searching; a terminal breaks it between words.
            self.console.soft_wrap = not self.console.is_terminal
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
            self._bars = Progress(*columns_for(self.console.width), console=self.console, transient=True)
            self._bars.start()
        bars, began = self._bars, time.monotonic()
        width, last = self.console.width, ""
        title = shortened(label, width - around(width))
        task: TaskID = bars.add_task(escape(title), total=None, figures="")

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last
            last = f"{done:,}/{total:,}"
            shown = fitting(figures, width - around(width) - len(title) - 1)
            bars.update(task, completed=done, total=total, figures=escape(shown))
            self.check_stop()

        try:
            yield listener
            # The bar goes; what it was about stays.
            if last and time.monotonic() - began >= KEPT_SECONDS:
                self.say(f"{label}: {last}, {time.monotonic() - began:,.0f} s")
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None

    def _log(self, label: str) -> Listener:
        last = time.monotonic()
        first: tuple[int, float] | None = None

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last, first
            now = time.monotonic()
            # Work that goes on from a saved state, or is told of in steps, did not do its first ones since the start.
            first = first or (done, now)
            if now - last >= LOG_SECONDS:
                last = now
                made, seconds = done - first[0], now - first[1]
                left = f", {seconds * (total - done) / made:,.0f} s left" if made > 0 else ""
                self.say(f"{label}: {done}/{total}{left}  {format_figures(figures)}".rstrip())
            self.check_stop()

        return listener


def columns_for(width: int) -> list[ProgressColumn]:
    """What a bar is made of in a terminal of so many columns: its figures give way first."""
    line = Column(no_wrap=True, overflow="ellipsis")
    return [
        TextColumn("{task.description}", table_column=line),
        BarColumn(bar_width=WIDE_BAR if width >= WIDE else NARROW_BAR),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("[dim]{task.fields[figures]}", table_column=line),
    ]


def around(width: int) -> int:
    """Columns that bar, count and times take."""
    return TIMES + (WIDE_BAR if width >= WIDE else NARROW_BAR)


def shortened(text: str, width: int) -> str:
    """A label without its first words where it is too long: which fold it is stands at its end."""
    if len(text) <= width:
        return text
    words = text.split(" ")
    while len(words) > 1 and len(" ".join(words)) + 2 > width:
        words.pop(0)
    return f"… {' '.join(words)}"[:width]


def fitting(figures: dict[str, float], width: int) -> str:
    """As many whole figures as a width takes."""
    some = dict(figures)
    while some and len(format_figures(some)) > width:
        some.popitem()
    return format_figures(some)


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
