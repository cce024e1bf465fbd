"""One process at a time in a run folder; the next is told who is there, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the folder `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path, holder: "subprocess.Popen[str]"):
    with (
        pytest.raises(DataError, match=f"is in use by process {holder.pid} on .*; wait for it") as caught,
        hold(tmp_path / "run"),
    ):
        pytest.fail("held twice")
    assert str(tmp_path / "run") in str(caught.value)
    with hold(tmp_path / "other"):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path, holder: "subprocess.Popen[str]"):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with hold(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / "run" / ".lock").read_text()
        assert str(holder.pid) not in (tmp_path / "run" / ".lock").read_text().split()


def test_a_run_is_free_again_after_an_error(tmp_path: Path):
    with pytest.raises(RuntimeError), hold(tmp_path / "run"):
        raise RuntimeError("a bug")
    with hold(tmp_path / "run"):
        pass


def test_a_run_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(DataError, match="cannot be written: Not a directory; choose another"),
        hold(tmp_path / "file" / "run"),
    ):
        pytest.fail("held")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_folder_is_named(tmp_path: Path):
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(DataError, match="cannot be written: Permission denied; choose another"), hold(tmp_path / "run"):
        pytest.fail("held")
