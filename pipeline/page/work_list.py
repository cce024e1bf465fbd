"""The work list: what a person marked and noted, in an SQLite file of the run folder that is no part of any result.

Nothing is ever overwritten: each mark and note is an entry of its own, and what holds is the latest. So two windows
lose nothing, and neither does a process that is killed: an entry is on the disk before it is acknowledged.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import DataError

FILE = Path("page") / "work.sqlite"
MARKS = ("look", "seen")
KINDS = (*MARKS, "note", "withdrawn")
"""`withdrawn` takes a note back: its value is the note's number."""
MOST_CHARACTERS = 4000
WAIT_SECONDS = 20.0
TABLE = """
create table if not exists entries (
    number integer primary key autoincrement,
    token text not null unique,
    view text not null,
    patient text not null,
    lesion text not null,
    kind text not null,
    value text not null,
    at text not null
)"""


@dataclass(frozen=True)
class Entry:
    """What is to be kept."""

    token: str
    """Chosen by who sends it: sent twice, it is kept once."""
    view: str
    patient: str
    lesion: str
    kind: str
    value: str


@dataclass
class State:
    """What holds of one lesion."""

    view: str
    patient: str
    lesion: str
    look: bool = False
    seen: bool = False
    notes: dict[int, tuple[str, str]] | None = None
    """Number to time and text."""
    last: int = 0

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "look": self.look,
            "seen": self.seen,
            "notes": [{"number": number, "at": at, "text": text} for number, (at, text) in (self.notes or {}).items()],
        }


class WorkList:
    """The entries of one run folder."""

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / FILE
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Nobody else of this machine reads notes about patients.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            with self._open() as connection:
                connection.execute("pragma journal_mode = wal")
                connection.execute(TABLE)
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"the work list {self.path} cannot be opened ({error}); move the file away to begin a new one"
            ) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=WAIT_SECONDS)) as connection:
            connection.execute("pragma synchronous = full")
            with connection:
                yield connection

    def add(self, entry: Entry) -> State:
        """Keep an entry, and say what now holds of its lesion; DataError for what is none."""
        if entry.kind not in KINDS or not entry.token or len(entry.token) > 100 or "\0" in entry.value:
            raise DataError("this is no entry of a work list")
        if len(entry.value) > MOST_CHARACTERS:
            raise DataError(f"a note has at most {MOST_CHARACTERS:,} characters, this one {len(entry.value):,}")
        if entry.kind in MARKS and entry.value not in ("0", "1"):
            raise DataError("a mark is set (1) or not (0)")
        with self._open() as connection:
            connection.execute("begin immediate")
            connection.execute(
                "insert or ignore into entries (token, view, patient, lesion, kind, value, at) values (?,?,?,?,?,?,?)",
                (*vars(entry).values(), time.strftime("%Y-%m-%d %H:%M:%S")),
            )
        found = self.states(entry.view, lesion=entry.lesion)
        return found.get((entry.view, entry.lesion), State(entry.view, entry.patient, entry.lesion))

    def states(
        self, view: str | None = None, *, patient: str | None = None, lesion: str | None = None
    ) -> dict[tuple[str, str], State]:
        """What holds of every lesion that was ever marked, by view and lesion."""
        wanted = {"view": view, "patient": patient, "lesion": lesion}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = (" where " + " and ".join(f"{name} = ?" for name in given)) if given else ""
        with self._open() as connection:
            rows = connection.execute(
                f"select number, view, patient, lesion, kind, value, at from entries{where} order by number",
                tuple(given.values()),
            ).fetchall()
        found: dict[tuple[str, str], State] = {}
        for number, own, group, name, kind, value, at in rows:
            state = found.setdefault((own, name), State(own, group, name))
            state.last = number
            match kind:
                case "note":
                    state.notes = {**(state.notes or {}), number: (at, value)}
                case "withdrawn" if value.isdecimal():
                    (state.notes or {}).pop(int(value), None)
                case "look" | "seen":
                    setattr(state, kind, value == "1")
        return found

    def last(self) -> int:
        """The number of the latest entry."""
        with self._open() as connection:
            return int(connection.execute("select coalesce(max(number), 0) from entries").fetchone()[0])
