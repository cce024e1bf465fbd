"""Progress across processes: a worker's display becomes events, and the driver's display plays them.

Knows no cluster: whoever carries the events hands over a function.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from data.errors import Interrupted
from data.progress import Progress
from pipeline.display import Display

Event = tuple[Any, ...]
Tell = Callable[[list[Event]], bool]
"""Carries events to the driver; its answer says whether the driver wants the work to stop."""
TELL_SECONDS = 0.3
"""A worker tells how far it is at most this often: thousands of steps a second would drown the driver."""


class RelayDisplay(Display):
    """The display of a worker: everything said goes to the driver."""

    def __init__(self, tell: Tell, owner: str) -> None:
        super().__init__()
        self._tell = tell
        self._owner = owner
        self._numbers = itertools.count()
        self._told = 0.0

    def say(self, text: str, style: str | None = None) -> None:
        """Pass a line on."""
        self._pass_on("say", text, style)

    def warn(self, text: str) -> None:
        """Pass a warning on."""
        self._pass_on("warn", text)

    def check_stop(self) -> None:
        """Raise Interrupted when the driver has been asked to stop."""
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._pass_on()

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """A bar of the driver's."""
        name = f"{self._owner}/{next(self._numbers)}"
        self._pass_on("begin", name, label)
        last: Event | None = None

        def listener(done: int, total: int, **figures: float) -> None:
            nonlocal last
            last = ("step", name, done, total, {key: float(value) for key, value in figures.items()})
            if time.monotonic() - self._told >= TELL_SECONDS:
                event, last = last, None
                self._pass_on(*event)

        try:
            yield listener
            if last is not None:
                # How far it came in the end is told, however short a time ago the driver last heard.
                self._tell([last])
        finally:
            self._tell([("end", name)])

    def _pass_on(self, *event: Any) -> None:
        self._told = time.monotonic()
        if self._tell([event] if event else []):
            raise Interrupted(130)


class Player:
    """Plays workers' events on the driver's display."""

    def __init__(self, display: Display, said: Iterable[str] = ()) -> None:
        self._display = display
        self._tasks: dict[str, tuple[AbstractContextManager[Progress], Progress]] = {}
        self._said = set(said)

    def play(self, events: Iterable[Event]) -> None:
        """Show what happened; raises Interrupted when the user has asked to stop."""
        for kind, *rest in events:
            getattr(self, f"_{kind}")(*rest)

    def end_of(self, owner: str) -> None:
        """Take away what a worker that died left on the display."""
        for name in [name for name in self._tasks if name.startswith(f"{owner}/")]:
            self._end(name)

    def end_all(self) -> None:
        """Take away every bar."""
        for name in list(self._tasks):
            self._end(name)

    def _begin(self, name: str, label: str) -> None:
        task = self._display.task(label)
        self._tasks[name] = task, task.__enter__()

    def _step(self, name: str, done: int, total: int, figures: dict[str, float]) -> None:
        if name in self._tasks:
            self._tasks[name][1](done, total, **figures)

    def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task[0].__exit__(None, None, None)

    def _say(self, text: str, style: str | None) -> None:
        # Every worker notes the same things about the same recipe and data.
        note = text.removeprefix("note: ")
        if note == text or note not in self._said:
            self._said.add(note)
            self._display.say(text, style)

    def _warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._display.warn(text)
