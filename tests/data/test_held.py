"""Temporary folders belong to whoever holds their lock, whatever its name or number."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from data.files import atomic, remove_leftovers
from data.held import held_folder, scratch_folder

HOLDS = "\n".join(
    [
        "import sys, time; from pathlib import Path; from data.held import held_folder",
        "with held_folder(Path(sys.argv[1])) as folder:",
        "    print(folder, flush=True); time.sleep(600)",
    ]
)


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "pack")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_live_build_is_left_alone_whatever_process_its_name_tells_of(holder, tmp_path: Path) -> None:
    """As in another container of the same host name, where its number is not that of any process here."""
    _process, folder = holder
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    renamed = folder.rename(tmp_path / f".pack.0a-1.{socket.gethostname()}.{dead.pid}.held.tmp")
    assert remove_leftovers(tmp_path) == []
    assert renamed.is_dir()
    with held_folder(tmp_path / "pack"):
        assert renamed.is_dir()


def test_a_file_in_writing_is_left_alone_whatever_process_its_name_tells_of(tmp_path: Path) -> None:
    other_host = tmp_path / f".a.json.0a-1.another-host.{os.getpid()}.held.tmp"
    other_host.write_text("left by a process that died")
    with atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("whole")
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        renamed = temporary.rename(tmp_path / f".a.json.0a-1.{socket.gethostname()}.{dead.pid}.held.tmp")
        clear = f"from pathlib import Path; from data.files import *; print(remove_leftovers(Path({str(tmp_path)!r})))"
        said = subprocess.run([sys.executable, "-c", clear], capture_output=True, text=True, check=True).stdout
        assert renamed.name not in said
        assert other_host.name in said
        renamed.rename(temporary)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_what_a_killed_process_held_is_removed_whatever_its_name_tells(holder, tmp_path: Path) -> None:
    process, folder = holder
    (folder / "images.npy").write_bytes(b"x")
    renamed = folder.rename(tmp_path / f".pack.0a-1.another-host.{os.getppid()}.held.tmp")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert remove_leftovers(tmp_path) == [renamed]
    assert not renamed.exists()


def test_a_folder_goes_when_it_is_left(tmp_path: Path) -> None:
    with held_folder(tmp_path / "pack") as folder:
        assert remove_leftovers(tmp_path) == []
        (folder / "x").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_scratch_of_a_killed_command_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f".fusionnetx.0a-1.{socket.gethostname()}.1.held.tmp"
    left.mkdir()
    with scratch_folder() as folder:
        assert not left.exists()
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
