import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from data import files
from data.errors import DataError
from data.files import atomic, is_leftover, no_room, remove_leftovers, temporary_beside, write_text


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_file_is_whole_or_as_it_was(tmp_path: Path):
    path = tmp_path / "a" / "table.csv"
    write_text(path, "old")

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_the_order_of_a_write_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Content before name, name before anything that follows: fsync, rename, fsync of the folder."""
    done = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file")
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_text(tmp_path / "a", "x")
    assert done == ["file", "rename", "folder"]


def test_temporary_names_are_hidden_and_never_the_same(tmp_path: Path):
    names = {temporary_beside(tmp_path / "a.json").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".a.json.") and name.endswith(f".{os.getpid()}.tmp") for name in names)


@pytest.mark.parametrize("name", ["report.json", "a.b-c", "synthetic-0123", "x[1]*"])
def test_what_a_dead_process_left_is_removed_and_nothing_else(tmp_path: Path, dead_pid: int, name: str):
    host = socket.gethostname()
    gone = [tmp_path / f".{name}.0a-1.{host}.{dead_pid}.tmp", tmp_path / f".{name}.0a-2.{host}.{dead_pid}.tmp"]
    kept = [
        temporary_beside(tmp_path / name),
        tmp_path / f".{name}.0a-1.{host}.{os.getppid()}.tmp",
        tmp_path / f".{name}.0a-1.another-host.{dead_pid}.tmp",
        tmp_path / f".{name}.0a-1.{host}.{dead_pid}",
        tmp_path / f"{name}.0a-1.{host}.{dead_pid}",
        tmp_path / f".{name}.0a-1.{host}.word.tmp",
        tmp_path / f".{name}.0a-1.{host}.{10**30}.tmp",
    ]
    gone[0].write_text("x")
    gone[1].mkdir()
    (gone[1] / "images.npy").write_text("x")
    for path in kept:
        path.write_text("x")
    assert sorted(remove_leftovers(tmp_path, of=name)) == sorted(gone)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_leftovers_of_another_name_or_below_are_left_unless_asked_for(tmp_path: Path, dead_pid: int):
    host = socket.gethostname()
    other, deep = tmp_path / f".b.0a-1.{host}.{dead_pid}.tmp", tmp_path / "in" / f".a.0a-1.{host}.{dead_pid}.tmp"
    write_text(other, "x")
    write_text(deep, "x")
    assert remove_leftovers(tmp_path, of="a") == []
    assert remove_leftovers(tmp_path) == [other]
    assert remove_leftovers(tmp_path, deep=True) == [deep]


def test_an_earlier_life_of_the_same_process_number_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A container gives every start of a program the same number."""
    mine = temporary_beside(tmp_path / "a")
    assert not is_leftover(mine)
    monkeypatch.setattr(files, "_this_life", "another")
    assert is_leftover(mine)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "no room"), errno.ENOSPC),
        (OSError(errno.EACCES, "No space left on device"), None),
        (RuntimeError("catboost: No space left on device (28)"), errno.ENOSPC),
        (OSError("cannot write: File too large"), errno.EFBIG),
        (ValueError("a bug"), None),
    ],
)
def test_no_room_is_told_from_other_errors(error: Exception, number: int | None):
    assert no_room(error) == number


def test_a_full_disk_is_one_error_that_names_the_file_whatever_writes(tmp_path: Path):
    """Polars writes in Rust and has errors of its own for what the system refuses."""
    frame = pl.DataFrame({"x": os.urandom(65536).hex()})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, before[1]))
    try:
        with (
            pytest.raises(OSError, match=r"File too large.*oof\.parquet") as caught,
            atomic(tmp_path / "oof.parquet") as temporary,
        ):
            frame.write_parquet(temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_bytes_of_a_path_that_are_no_text_are_one_message_and_no_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"report\.html cannot hold .*udcff.*rename the folder"):
        write_text(tmp_path / "report.html", "<p>runs/r\udcff</p>")
    assert not list(tmp_path.iterdir())
