"""Bars in a terminal of any width: what they are about, the fold and the time left stay; figures give way first."""

import re
import threading
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Column
from rich.text import Text

WIDE, NARROW = 110, 60
"""Columns of a terminal from which on a bar is long, and below which it is short and says no more how long it took."""
WIDE_BAR, BAR, SHORT_BAR = 40, 12, 4
COUNT, ELAPSED, LEFT = 13, 7, 5
"""Columns of `212800/401059`, `0:01:03` and `12:40`."""
DRAWN_SECONDS = 0.1
FOLD = re.compile(r"\bfold \d+")


class Pace:
    """How fast a piece of work goes, from the first time that it said how far it is."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def ends(self, done: int, total: int) -> float | None:
        """When it will be done, on the clock of time.monotonic; None as long as nobody can say."""
        now = time.monotonic()
        # Work that goes on from a saved state, or is told of in steps, did not do its first ones since the start.
        self._first = self._first or (done, now)
        made = done - self._first[0]
        return now + (now - self._first[1]) * (total - done) / made if made > 0 else None


class TimeLeft(ProgressColumn):
    """The time left at the pace so far, not at that of the last seconds, in which two of five jobs may have ended."""

    def render(self, task: Task) -> Text:
        """`12:40`, or `3:12:40`; dashes as long as nobody can say."""
        ends = task.fields["ends"]
        if ends is None:
            return Text("--:--", style="progress.remaining")
        minutes, seconds = divmod(max(0, round(ends - time.monotonic())), 60)
        hours, minutes = divmod(minutes, 60)
        shown = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
        return Text(shown, style="progress.remaining")


class Bars(Progress):
    """The bars of a console, drawn again ten times a second until they end."""

    def __init__(self, console: Console) -> None:
        super().__init__(*columns_for(console.width), console=console, transient=True, auto_refresh=False)
        self._ended = threading.Event()
        with console:
            self.start()
        threading.Thread(target=self._draw, daemon=True).start()

    def begin(self, title: str) -> TaskID:
        """A bar of work of which it is not known yet how much there is."""
        with self.console:
            return self.add_task(title, total=None, figures="", ends=None)

    def end(self) -> None:
        """Take all of them away."""
        self._ended.set()
        with self.console:
            self.stop()

    def _draw(self) -> None:
        while not self._ended.wait(DRAWN_SECONDS):
            with self.console:
                self.refresh()


def columns_for(width: int) -> list[ProgressColumn]:
    """What a bar is made of in a terminal of so many columns."""
    line, whole = Column(no_wrap=True, overflow="ellipsis"), Column(no_wrap=True)
    return [
        TextColumn("{task.description}", table_column=line),
        BarColumn(bar_width=bar_width(width)),
        MofNCompleteColumn(table_column=whole),
        *([Elapsed(table_column=whole)] if width >= NARROW else []),
        TimeLeft(table_column=whole),
        TextColumn("[dim]{task.fields[figures]}", table_column=line),
    ]


def bar_width(width: int) -> int:
    """Columns of the bar itself."""
    return WIDE_BAR if width >= WIDE else BAR if width >= NARROW else SHORT_BAR


def around(width: int) -> int:
    """Columns that bar, count and times take, with the gaps before each and before the figures."""
    return bar_width(width) + COUNT + LEFT + 4 + (ELAPSED + 1 if width >= NARROW else 0)


def shortened(text: str, width: int) -> str:
    """A label without its first words where it is too long; where the fold would go with them, the last ones go."""
    if len(text) <= width:
        return text
    words = text.split(" ")
    while len(words) > 1 and len(" ".join(words)) + 2 > width:
        words.pop(0)
    end, fold = " ".join(words), FOLD.search(text)
    if fold and not FOLD.search(end):
        return fold[0] + " …" if len(fold[0]) + 2 <= width else fold[0]
    return f"… {end}"[:width]


def fitting(figures: dict[str, float], width: int) -> str:
    """As many whole figures as a width takes."""
    some = dict(figures)
    while some and len(format_figures(some)) > width:
        some.popitem()
    return format_figures(some)


def format_figures(figures: dict[str, float]) -> str:
    """`loss 0.321  images/s 1,240`."""
    return "  ".join(f"{name.replace('_per_second', '/s').replace('_', ' ')} {short(x)}" for name, x in figures.items())


def short(value: float) -> str:
    """Three or four figures, readable."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
