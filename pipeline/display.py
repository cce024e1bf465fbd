"""What a person sees while a run works: bars in a terminal, a plain log elsewhere; and how they stop it.

Stages ask for a `task` and pass the callable on; the packages below only know `data.progress.Progress`.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from data.errors import Interrupted
from data.progress import Progress as Listener
from pipeline.bars import Bars, Pace, around, fitting, format_figures, shortened
from pipeline.printable import printable
from pipeline.tables import print_table

LOG_SECONDS = 15.0
KEPT_SECONDS = 1.0
"""Work that took longer than this leaves a line in a terminal when its bar goes."""


class WholeConsole(Console):
    """Writes one thing at a time, from whichever thread.

    A bar is drawn again from a thread of its own. Drawn in the middle of a print, it would wipe the line above it.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False)
        self._writing = threading.RLock()

    def __enter__(self) -> "WholeConsole":
        self._writing.acquire()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, value, trace)
        finally:
            self._writing.release()


class Display:
    """One display for a whole command; also the place that notices a request to stop."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or WholeConsole()
        if console is None:
            # A log keeps a message on one line, for searching; a terminal breaks it between words.
            self.console.soft_wrap = not self.console.is_terminal
        self._bars: Bars | None = None
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

    def ask(self, text: str) -> str:
        """What a person answers; Ctrl-C and Ctrl-D end the command at once, since nothing is going on."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return input(text).strip()
        except (EOFError, KeyboardInterrupt) as error:
            self.say("")
            raise Interrupted(130) from error
        finally:
            signal.signal(signal.SIGINT, before)

    def table(self, table: Table, spare: Sequence[str] = ()) -> None:
        """Print a table that keeps its shape in a terminal of any width."""
        print_table(self.console, table, spare)

    def warn(self, text: str) -> None:
        """Print one line that deserves a look."""
        self.console.print(labelled("warning", "yellow", text))

    def fail(self, text: str) -> None:
        """Print one line of what is wrong."""
        self.console.print(labelled("error", "red", text))

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
            self._bars = Bars(self.console)
        bars, began, pace = self._bars, time.monotonic(), Pace()
        width, last = self.console.width, ""
        title = shortened(label, width - around(width))
        task = bars.begin(escape(title))

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last
            last = f"{done:,}/{total:,}"
            shown = fitting(figures, width - around(width) - len(title) - 1)
            bars.update(task, completed=done, total=total, ends=pace.ends(done, total), figures=escape(shown))
            self.check_stop()

        try:
            yield listener
            # The bar goes; what it was about stays.
            if last and time.monotonic() - began >= KEPT_SECONDS:
                self.say(f"{label}: {last}, {time.monotonic() - began:,.0f} s")
        finally:
            bars.remove_task(task)
            if outermost:
                bars.end()
                self._bars = None

    def _log(self, label: str) -> Listener:
        last, pace = time.monotonic(), Pace()

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last
            now, ends = time.monotonic(), pace.ends(done, total)
            if now - last >= LOG_SECONDS:
                last = now
                left = "" if ends is None else f", {ends - now:,.0f} s left"
                self.say(f"{label}: {done}/{total}{left}  {format_figures(figures)}".rstrip())
            self.check_stop()

        return listener


def labelled(label: str, style: str, text: str) -> Text:
    """`warning: ` and a message as one text: printed one after the other, a word of the message would break."""
    return Text.assemble((f"{label}:", style), " ", printable(text))
