"""A step: when it is done, why it is not, and what its report says."""

import json
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.step import Need, Step, Work
from pipeline.step_reports import describe_changes


def make_step(folder: Path, **changes: object) -> Step:
    facts: dict = {
        "kind": "work",
        "key": (0,),
        "name": "a piece of work",
        "folder": folder,
        "work": Work(),
        "settings": {"epochs": 3, "augment": {"flip": True}},
        "needs": (Need("train table", "aaa"),),
    }
    return Step(**{**facts, **changes})


@pytest.fixture
def done(tmp_path: Path) -> Step:
    step = make_step(tmp_path / "work")
    attempt = step.begin()
    (step.folder / "first.bin").write_bytes(b"1234")
    (step.folder / "second.bin").write_bytes(b"5678")
    attempt.finish(["first.bin", "second.bin"], scores={"pauc": 0.1})
    return step


def test_a_step_is_done_when_its_report_is_written(tmp_path: Path):
    step = make_step(tmp_path / "work")
    assert step.stale_reason() == "not run yet"
    assert step.report() is None
    attempt = step.begin()
    (step.folder / "a").write_text("x")
    assert step.stale_reason() == "not run yet"
    report = attempt.finish(["a"], lesions=4)
    assert step.stale_reason() is None
    assert step.report() == report
    assert report["lesions"] == 4
    assert {"settings", "inputs", "versions", "seconds", "peak_memory_mb", "commit", "machine"} <= set(report)
    assert step.artefacts() == ("a",)
    assert step.checksum("a") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_beginning_again_forgets_the_report(done: Step):
    done.begin()
    assert done.stale_reason() == "not run yet"


def test_the_report_comes_after_the_artefacts(tmp_path: Path):
    step = make_step(tmp_path / "work")
    attempt = step.begin()
    with pytest.raises(FileNotFoundError):
        attempt.finish(["never written"])
    assert not step.report_path.exists()


def test_settings_are_compared_without_their_order(done: Step):
    turned = make_step(done.folder, settings={"augment": {"flip": True}, "epochs": 3})
    assert turned.stale_reason() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"epochs": 4, "augment": {"flip": True}}}, "changed: epochs 3 -> 4"),
        ({"settings": {"epochs": 3, "augment": {"flip": False}}}, "changed: augment.flip True -> False"),
        ({"settings": {"augment": {"flip": True}}}, "changed: settings.epochs is gone"),
        ({"settings": {"epochs": 3, "augment": {"flip": True}, "seed": 1}}, "changed: settings.seed is new"),
        ({"needs": (Need("train table", "bbb"),)}, "changed: train table (its content)"),
        ({"needs": ()}, "changed: inputs.train table is gone"),
    ],
)
def test_what_changed_is_named(done: Step, changes: dict, reason: str):
    assert make_step(done.folder, **changes).stale_reason() == reason


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
    assert done.stale_reason() == reason


def test_a_large_artefact_is_compared_by_size(done: Step, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.step_reports.CHECKSUM_ON_SKIP_BYTES", 3)
    (done.folder / "first.bin").write_bytes(b"1235")
    assert done.stale_reason() is None
    (done.folder / "first.bin").write_bytes(b"12355")
    assert done.stale_reason() is not None


@pytest.mark.parametrize("content", [b"", b'{"fingerprint": "a', b"[]", b"{}", b"\xff\xfe\x00", b'{"artefacts": {}}'])
def test_a_damaged_report_is_no_report(done: Step, content: bytes):
    done.report_path.write_bytes(content)
    assert done.stale_reason() == "a damaged report"
    with pytest.raises(DataError):
        done.checksum("first.bin")


def test_a_report_without_its_own_checksum_is_no_report(done: Step):
    report = json.loads(done.report_path.read_text())
    del report["report_sha256"]
    done.report_path.write_text(json.dumps({**report, "scores": {"pauc": 0.2}}))
    assert done.stale_reason() == "a damaged report"


def test_a_report_that_is_a_folder_is_not_done(done: Step):
    done.report_path.unlink()
    done.report_path.mkdir()
    assert done.stale_reason() == "a damaged report"


def test_the_checksum_of_a_step_that_has_not_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a piece of work has no report of a at .*run it first"):
        make_step(tmp_path / "work").checksum("a")


def test_a_report_is_strict_json(done: Step):
    assert json.loads(done.report_path.read_text())["scores"] == {"pauc": 0.1}
    with pytest.raises(ValueError):
        done.begin().finish([], score=float("nan"))


def test_a_folder_that_another_step_wrote_is_refused_by_name(done: Step):
    other = make_step(done.folder, name="another piece of work")
    assert other.stale_reason() == "its folder holds what a piece of work wrote"
    assert other.stale_reason(inputs_known=False) == "its folder holds what a piece of work wrote"


def test_what_a_step_needs_of_another_is_known_once_that_is_done(done: Step, tmp_path: Path):
    needs = (Need("all of it", step=done), Need("the second", step=done, artefacts=("second.bin",)))
    later = make_step(tmp_path / "later", needs=needs)
    assert later.inputs == {
        "all of it, first.bin": done.checksum("first.bin"),
        "all of it, second.bin": done.checksum("second.bin"),
        "the second": done.checksum("second.bin"),
    }
    assert needs[1].files() == (done.report_path, done.folder / "second.bin")
    done.begin()
    with pytest.raises(DataError, match=r"a piece of work has no report of second\.bin"):
        _ = make_step(tmp_path / "later", needs=needs[1:]).inputs


def test_without_its_inputs_a_step_is_judged_by_its_settings_and_its_files(done: Step):
    far = make_step(done.folder, needs=(Need("train table", "bbb"),))
    assert far.stale_reason() == "changed: train table (its content)"
    assert far.stale_reason(inputs_known=False) is None
    assert make_step(done.folder, settings={"epochs": 9}).stale_reason(inputs_known=False) is not None
    (done.folder / "second.bin").unlink()
    assert far.stale_reason(inputs_known=False) == "second.bin is missing"


def test_a_step_whose_settings_are_not_known_yet_waits(done: Step, tmp_path: Path):
    waiting = make_step(tmp_path / "later", name="later work", waits_for=done)
    assert waiting.stale_reason() == "not run yet"
    with pytest.raises(DataError, match="later work waits for a piece of work"):
        _ = waiting.fingerprint


def test_every_damaged_file_is_named_when_every_byte_is_asked_for(done: Step, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.step_reports.CHECKSUM_ON_SKIP_BYTES", 0)
    for name in ("first.bin", "second.bin"):
        (done.folder / name).write_bytes(b"0000")
    assert done.stale_reason() is None
    assert done.stale_reason(every_byte=True) == "first.bin is damaged (its checksum differs)"
    assert [trouble.split()[0] for trouble in done.damage(every_byte=True)] == ["first.bin", "second.bin"]
