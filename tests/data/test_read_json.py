import os
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import atomic, read_json, write_text


def test_a_pipe_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "report.json")
    with pytest.raises(OSError, match="no regular file"):
        read_json(tmp_path / "report.json")


def test_a_device_is_refused():
    with pytest.raises(OSError, match="no regular file"):
        read_json(Path("/dev/zero"))


def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path: Path):
    path = tmp_path / "large.json"
    path.write_text('"' + 50 * "a" + '"')
    with pytest.raises(ValueError, match="bytes, more than any file of its kind"):
        read_json(path, most_bytes=50)
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="nearly all are holes"):
        read_json(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000])
def test_nesting_too_deep_is_a_value_error(content: str, tmp_path: Path):
    (tmp_path / "deep.json").write_text(content)
    with pytest.raises(ValueError, match=r"nested too deep|Expecting"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize("name", ["folder", "pipe", "device"])
def test_nothing_but_a_file_is_replaced(name: str, tmp_path: Path):
    target = {"folder": tmp_path / "folder", "pipe": tmp_path / "pipe", "device": Path("/dev/null")}[name]
    if name == "folder":
        target.mkdir()
    elif name == "pipe":
        os.mkfifo(target)
    before = target.stat().st_ino
    with pytest.raises(DataError, match="nothing is written there; name a file"), atomic(target) as temporary:
        temporary.write_text("x")
    assert target.stat().st_ino == before
    with pytest.raises(DataError):
        write_text(Path("/"), "x")


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", '{"a": 1e999}', "9" * 5000])
def test_numbers_that_are_none_are_refused(text: str, tmp_path: Path):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=r"no number|digits"):
        read_json(tmp_path / "report.json")
