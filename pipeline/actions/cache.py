"""What the cache holds (packed images, synthetic cohorts) and what killed commands left; and how both are removed."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from data.errors import DataError, examples
from data.files import is_held, is_leftover, read_json, remove_leftovers, temporary_beside
from data.held import SCRATCH
from data.whole_folder import MANIFEST
from pipeline.display import Display

UNKNOWN = "unknown"
MEASURED = {
    "cpu_precision": "number formats measured on processors",
    "cpu_threads": "threads measured on processors",
    "image_vectors": "vectors of frozen networks",
}
"""Folders of the cache that say nothing of themselves."""


@dataclass(frozen=True)
class Entry:
    """One folder or file of the cache."""

    path: Path
    what: str
    bytes: int
    written: datetime
    in_work: bool
    """A process is making it."""


def entries_of(cache_dir: Path) -> list[Entry]:
    """What the cache holds, the largest first."""
    paths = sorted(cache_dir.iterdir()) if cache_dir.is_dir() else []
    return sorted((entry_at(path) for path in paths), key=lambda entry: -entry.bytes)


def scratch_entries() -> list[Entry]:
    """Temporary folders of this person's commands: of those at work, and of those that were killed."""
    found = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f".{SCRATCH}.*.tmp")):
        with suppress(FileNotFoundError):  # its command has ended
            if path.lstat().st_uid == os.geteuid():
                found.append(entry_at(path))
    return found


def entry_at(path: Path) -> Entry:
    """What lies there; links are counted as themselves."""
    inside = [path] if path.is_symlink() or path.is_file() else [path, *path.rglob("*")]
    facts = []
    for one in inside:
        with suppress(FileNotFoundError):  # of what is being made: gone since it was listed
            facts.append(one.lstat())
    written = datetime.fromtimestamp(max((fact.st_mtime for fact in facts), default=0.0), UTC)
    return Entry(path, what_is(path), sum(fact.st_blocks * 512 for fact in facts), written, is_held(path) is True)


def what_is(path: Path) -> str:
    """In words."""
    if path.name.endswith(".tmp"):
        return "left by a process that died" if is_leftover(path) else "being made"
    if (path / MANIFEST).is_file():
        return "synthetic cohort"
    if path.name in MEASURED and path.is_dir() and not path.is_symlink():
        return MEASURED[path.name]
    try:
        report = read_json(path / "report.json")
        return f"{report['lesions']:,} packed images of {report['image_size']} px"
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN


def print_cache(cache_dir: Path, display: Display) -> None:
    """One line for each entry."""
    entries, scratch = entries_of(cache_dir), scratch_entries()
    if not entries:
        display.say(f"the cache {cache_dir} is empty")
    if not entries and not scratch:
        return
    table = Table("entry", "what", "MB", "written")
    for entry in (*entries, *scratch):
        table.add_row(entry.path.name, entry.what, f"{entry.bytes / 1e6:,.1f}", f"{entry.written:%Y-%m-%d %H:%M}")
    display.table(table)
    if entries:
        display.say(f"{cache_dir}: {megabytes(entries)}; all of it is made again when needed")
    if scratch:
        display.say(f"{tempfile.gettempdir()}: {megabytes(scratch)} of commands at work and of killed ones")


def megabytes(entries: Iterable[Entry]) -> str:
    """What entries take."""
    return f"{sum(entry.bytes for entry in entries) / 1e6:,.1f} MB"


def clear_cache(cache_dir: Path, names: list[str], display: Display) -> None:
    """Remove entries by name, or with none named all that this project made and no process is making."""
    entries = {entry.path.name: entry for entry in (*entries_of(cache_dir), *scratch_entries())}
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise DataError(f"the cache {cache_dir} holds no {examples(unknown)}; `fusionnetx cache` lists what it holds")
    remove_leftovers(cache_dir)
    remove_leftovers(Path(tempfile.gettempdir()), of=SCRATCH)
    chosen = [entries[name] for name in names] or list(entries.values())
    foreign = [entry.path.name for entry in chosen if entry.what == UNKNOWN and not names]
    chosen = [entry for entry in chosen if entry.path.name not in foreign]
    kept = [entry.path.name for entry in chosen if entry.what == "being made"]
    gone = [entry for entry in chosen if entry.what != "being made"]
    for entry in gone:
        remove(entry.path)
    display.say(f"removed {len(gone)} entries of {cache_dir}: {megabytes(gone)}")
    if kept:
        display.say(f"note: a process is making {examples(kept)}; left alone")
    if foreign:
        display.say(f"note: not of this project, it seems: {examples(foreign)}; left alone unless named")


def remove(path: Path) -> None:
    """Take an entry away at once, then its files: who looks meanwhile finds it whole or not at all."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.is_dir():
        away = path.rename(temporary_beside(path))
        shutil.rmtree(away, ignore_errors=True)
