"""The journal of a study that one process keeps in its run folder: a line for each thing that happened to a trial.

Every line carries a checksum of itself and of all lines before it. What a damaged file says before the damage is
therefore as it was written, and the search goes on from there; what stands behind it is done again.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from data.files import read_whole

SUM_LENGTH = 16
"""Digits of a checksum."""
LEGACY = b"{"
"""What a line of Optuna's own journal, which carries no checksum, begins with."""

log = logging.getLogger(__name__)


class Journal(BaseJournalBackend):
    """A file of lines, read once when it is opened: nobody else writes to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logs: list[dict[str, Any]] = []
        self._sum = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read()

    def _read(self) -> None:
        """Take over the lines that are whole and as they were written; cut off what is not."""
        content = read_whole(self._path)
        kept = 0
        # The last line of a process that was killed while it wrote has no end.
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            body, own = self._taken_apart(line)
            if body is None:
                self._say_damaged(content, kept)
                break
            self._logs.append(body)
            self._sum = own
            kept += len(line)
        if kept < len(content):
            os.truncate(self._path, kept)

    def _taken_apart(self, line: bytes) -> tuple[dict[str, Any] | None, str]:
        """What a line says and the checksum up to it; None for a line that was written otherwise."""
        recorded, body = b"", line
        if not line.startswith(LEGACY):
            recorded, _, body = line.partition(b" ")
        own = chained(self._sum, body)
        try:
            said = json.loads(body) if recorded in (b"", own.encode()) else None
        except (ValueError, RecursionError):
            said = None
        return (said if isinstance(said, dict) else None), own

    def _say_damaged(self, content: bytes, kept: int) -> None:
        if not kept:
            raise ValueError("its first line is damaged, or it is no journal of a search")
        number, lost = content[:kept].count(b"\n") + 1, content[kept:].count(b"\n")
        log.warning(
            "%s is damaged in line %d: the search goes on from the trials before it (%d lines dropped)",
            self._path,
            number,
            lost,
        )

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Everything that happened since."""
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        """Write down what happened, on the disk when this returns."""
        lines = bytearray()
        for happened in logs:
            body = json.dumps(happened, separators=(",", ":")).encode() + b"\n"
            self._sum = chained(self._sum, body)
            lines += f"{self._sum} ".encode() + body
            # As a later process will read it.
            self._logs.append(json.loads(body))
        with self._path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def chained(before: str, body: bytes) -> str:
    """Checksum of a line and of all before it, whose checksum is `before`."""
    return hashlib.sha256(before.encode() + body).hexdigest()[:SUM_LENGTH]


def open_journal(path: Path) -> JournalStorage:
    """The storage of the studies in a file; ValueError for a file that does not tell a study's story."""
    # Left behind by a process of an earlier version that was killed while writing.
    Path(f"{path}.lock").unlink(missing_ok=True)
    journal = Journal(path)
    try:
        return JournalStorage(journal)
    except (LookupError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
        raise ValueError(f"what it says makes no sense ({type(error).__name__}: {error})") from error


def name_in(storage: JournalStorage, name: str) -> str:
    """The name under which a file holds the study that is called `name` now.

    A name ends with a checksum of the study's settings. What stands before is the run's name, and a run folder may be
    renamed between two sittings.
    """
    settings = name.rpartition("-")[2]
    held = [study.study_name for study in storage.get_all_studies()]
    alike = [other for other in held if other.rpartition("-")[2] == settings]
    return name if name in held or not alike else alike[-1]
