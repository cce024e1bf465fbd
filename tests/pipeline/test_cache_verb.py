"""`fusionnetx cache`: what lies there, and only that, can be listed and removed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.files import write_json
from data.held import held_folder, scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


HOLDING = """
import os, socket, sys, time
from data.held import scratch_folder
os.getpid = lambda: 1  # as every container's first process
socket.gethostname = lambda: "box"
with scratch_folder() as folder:
    (folder / "rows").write_bytes(bytes(3_000_000))
    print(folder, flush=True)
    time.sleep(600)
"""


def holding(temporary: Path) -> tuple["subprocess.Popen[str]", Path]:
    """A command at work, and its temporary folder."""
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(temporary)}
    process = subprocess.Popen([sys.executable, "-c", HOLDING], env=where, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        return process, Path(said.readline().strip())


def test_what_a_killed_command_left_goes_and_what_a_live_one_has_stays(
    cli: Callable[..., Any], temporary: Path, tmp_path: Path
) -> None:
    (killed, left), (alive, own) = holding(temporary), holding(temporary)
    try:
        killed.kill()
        killed.wait()
        answer = cli("cache", cache=tmp_path / "none")
        assert answer.out.count("left by a process that died") == 1
        assert answer.out.count("being made") == 1
        assert f"{temporary}: 6.0 MB of commands at work and of killed ones" in answer.out
        assert "1 entries" in cli("cache", "--clear", cache=tmp_path / "none").out
        assert not left.exists()
        assert (own / "rows").is_file()
        alive.kill()
        alive.wait()
        with scratch_folder() as folder:  # as the next command has
            assert [path for path in temporary.iterdir() if path.is_dir()] == [folder]
    finally:
        alive.kill()
        alive.wait()


def test_the_cache_is_listed_and_cleared_but_for_what_is_being_made(cli: Callable[..., Any], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    (cache / "abc").mkdir(parents=True)
    write_json(cache / "abc" / "report.json", {"lesions": 1200, "image_size": 64})
    (cache / "link").symlink_to(outside)
    (cache / "cpu_threads").mkdir()
    (cache / "thesis").mkdir()
    (cache / "thesis" / "report.json").write_text("{}")
    with held_folder(cache / "pack") as making:
        answer = cli("cache", cache=cache)
        assert answer.code == 0
        for words in ("1,200 packed images of 64 px", "being made", "unknown", making.name):
            assert words in answer.out
        answer = cli("cache", "--clear", "nonsense", cache=cache)
        assert answer.code == 2
        assert "holds no nonsense" in answer.err
        answer = cli("cache", "--clear", cache=cache)
        assert answer.code == 0, answer
        assert "removed 2 entries" in answer.out
        assert "it seems: thesis, link; left alone unless named" in answer.out
        assert {path.name for path in cache.iterdir()} == {making.name, "link", "thesis"}
        assert cli("cache", "--clear", "link", "thesis", cache=cache).code == 0
        assert [path.name for path in cache.iterdir()] == [making.name]
    assert (outside / "mine.txt").read_text() == "mine"
    assert "is empty" in cli("cache", cache=cache).out
    assert "is empty" in cli("cache", cache=tmp_path / "none").out


def test_a_build_may_go_on_while_its_folder_is_listed(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache" / "abc").mkdir(parents=True)
    gone = tmp_path / "cache" / "abc" / "gone"
    monkeypatch.setattr(Path, "rglob", lambda folder, _pattern: [gone] if folder.name == "abc" else [])
    answer = cli("cache", cache=tmp_path / "cache")
    assert answer.code == 0, answer
    assert "unknown" in answer.out
