import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.run import Step, describe_changes, hold

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.run import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def make_step(folder: Path, **changes: object) -> Step:
    facts: dict = {
        "name": "a piece of work",
        "folder": folder,
        "settings": {"epochs": 3, "augment": {"flip": True}},
        "inputs": {"train table": "aaa"},
    }
    return Step(**{**facts, **changes})


@pytest.fixture
def done(tmp_path: Path) -> Step:
    step = make_step(tmp_path / "work")
    step.begin()
    (step.folder / "first.bin").write_bytes(b"1234")
    (step.folder / "second.bin").write_bytes(b"5678")
    step.finish(["first.bin", "second.bin"], scores={"pauc": 0.1})
    return step


def test_a_step_is_done_when_its_report_is_written(tmp_path: Path):
    step = make_step(tmp_path / "work")
    assert step.why() == "not run yet"
    assert step.report() is None
    step.begin()
    (step.folder / "a").write_text("x")
    assert step.why() == "not run yet"
    report = step.finish(["a"], lesions=4)
    assert step.why() is None
    assert step.report() == report
    assert report["lesions"] == 4
    assert {"settings", "inputs", "versions", "seconds", "peak_memory_mb", "commit", "machine"} <= set(report)
    assert step.artefacts() == ("a",)
    assert step.checksum("a") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_beginning_again_forgets_the_report(done: Step):
    done.begin()
    assert done.why() == "not run yet"


def test_the_report_comes_after_the_artefacts(tmp_path: Path):
    step = make_step(tmp_path / "work")
    step.begin()
    with pytest.raises(FileNotFoundError):
        step.finish(["never written"])
    assert not step.report_path.exists()


def test_settings_are_compared_without_their_order(done: Step):
    turned = make_step(done.folder, settings={"augment": {"flip": True}, "epochs": 3})
    assert turned.why() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"epochs": 4, "augment": {"flip": True}}}, "changed: epochs 3 -> 4"),
        ({"settings": {"epochs": 3, "augment": {"flip": False}}}, "changed: augment.flip True -> False"),
        ({"settings": {"augment": {"flip": True}}}, "changed: settings.epochs is gone"),
        ({"settings": {"epochs": 3, "augment": {"flip": True}, "seed": 1}}, "changed: settings.seed is new"),
        ({"inputs": {"train table": "bbb"}}, "changed: train table (its content)"),
        ({"inputs": {}}, "changed: inputs.train table is gone"),
    ],
)
def test_what_changed_is_named(done: Step, changes: dict, reason: str):
    assert make_step(done.folder, **changes).why() == reason


def test_both_changed_keys_are_named_and_a_long_list_is_cut():
    old = {f"key_{i}": i for i in range(9)}
    new = {key: value + 1 for key, value in old.items()}
    text = describe_changes(old, new)
    assert text.startswith("key_0 0 -> 1; key_1 1 -> 2; ")
    assert text.endswith("; and 3 more")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "first.bin is missing"),
        (lambda path: path.write_bytes(b"12"), "first.bin is damaged (2 bytes instead of 4)"),
        (lambda path: path.write_bytes(b"1235"), "first.bin is damaged (its checksum differs)"),
    ],
)
def test_a_damaged_artefact_is_named(done: Step, damage, reason: str):
    damage(done.folder / "first.bin")
    assert done.why() == reason


def test_a_large_artefact_is_compared_by_size(done: Step, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.run.CHECKSUM_ON_SKIP_BYTES", 3)
    (done.folder / "first.bin").write_bytes(b"1235")
    assert done.why() is None
    (done.folder / "first.bin").write_bytes(b"12355")
    assert done.why() is not None


@pytest.mark.parametrize("content", [b"", b'{"fingerprint": "a', b"[]", b"{}", b"\xff\xfe\x00", b'{"artefacts": {}}'])
def test_a_damaged_report_is_no_report(done: Step, content: bytes):
    done.report_path.write_bytes(content)
    assert done.why() == "a damaged report"
    with pytest.raises(DataError):
        done.checksum("first.bin")


def test_a_report_that_is_a_folder_is_not_done(done: Step):
    done.report_path.unlink()
    done.report_path.mkdir()
    assert done.why() == "a damaged report"


def test_the_checksum_of_a_step_that_has_not_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a piece of work has no report at .*run it first"):
        make_step(tmp_path / "work").checksum("a")


def test_a_report_is_strict_json(done: Step):
    assert json.loads(done.report_path.read_text())["scores"] == {"pauc": 0.1}
    with pytest.raises(ValueError):
        done.finish([], score=float("nan"))


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
