"""Nothing that was kept is lost, whoever writes beside and whoever is killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.page.work_list import FILE, Entry, WorkList


def entry(token: str, kind: str = "note", value: str = "x", lesion: str = "L1") -> Entry:
    return Entry(token, "training", "P1", lesion, kind, value)


def test_two_windows_lose_nothing(tmp_path: Path):
    windows = WorkList(tmp_path), WorkList(tmp_path)

    def write(number: int) -> None:
        windows[number % 2].add(entry(f"t{number}", value=f"note {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(60)))
    notes = windows[0].states()["training", "L1"].notes or {}
    assert sorted(text for _, text in notes.values()) == sorted(f"note {number}" for number in range(60))


def test_what_is_sent_twice_is_kept_once(tmp_path: Path):
    work = WorkList(tmp_path)
    work.add(entry("same"))
    assert len(work.add(entry("same")).notes or {}) == 1


def test_the_latest_mark_holds_and_notes_can_be_taken_back(tmp_path: Path):
    work = WorkList(tmp_path)
    work.add(entry("a", "look", "1"))
    work.add(entry("b", "seen", "1"))
    state = work.add(entry("c", "look", "0"))
    assert (state.look, state.seen) == (False, True)
    number = next(iter(work.add(entry("d")).notes or {}))
    assert not work.add(entry("e", "withdrawn", str(number))).notes


def test_hostile_words_are_kept_as_they_are(tmp_path: Path):
    text = "'; drop table entries; -- <script>\u00e4\U0001f600\"" + "x" * 300
    assert next(iter((WorkList(tmp_path).add(entry("a", value=text, lesion=text)).notes or {}).values()))[1] == text


@pytest.mark.parametrize(
    ("kind", "value"), [("note", "x" * 4001), ("look", "2"), ("other", "1"), ("note", "nul \0"), ("seen", "")]
)
def test_what_is_no_entry_is_refused(tmp_path: Path, kind: str, value: str):
    work = WorkList(tmp_path)
    with pytest.raises(DataError):
        work.add(entry("a", kind, value))
    assert work.last() == 0


def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(tmp_path: Path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.page.work_list import Entry, WorkList\n"
        f"work = WorkList(Path({str(tmp_path)!r}))\n"
        "for number in range(10**6):\n"
        "    work.add(Entry(f't{number}', 'training', 'P', 'L', 'note', str(number)))\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    told += [int(line) for line in process.communicate()[0].split()]
    kept = {int(text) for _, text in (WorkList(tmp_path).states()["training", "L"].notes or {}).values()}
    assert set(told) <= kept


def test_nobody_else_may_read_it_and_a_damaged_file_is_refused(tmp_path: Path):
    WorkList(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    for beside in (tmp_path / FILE).parent.iterdir():
        beside.unlink()
    (tmp_path / FILE).write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(DataError, match="move the file away"):
        WorkList(tmp_path)
