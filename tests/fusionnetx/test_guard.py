import re
from pathlib import Path

import pytest

from data.errors import DataError
from fusionnetx.cli import guarded


def fail(error: BaseException) -> object:
    raise error


def test_the_users_mistakes_end_with_two(capsys: pytest.CaptureFixture[str]):
    assert guarded(lambda: fail(DataError("x.csv: no column a; add it"))) == 2
    assert "error: x.csv: no column a; add it" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("strange"), RecursionError("deep"), KeyError("x"), AssertionError()])
def test_our_faults_end_with_one_message_and_a_kept_trace(
    error: Exception, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert guarded(lambda: fail(error)) == 1
    said = capsys.readouterr().err
    assert "this is a fault of FusionNetX, not yours" in said
    assert "Traceback" not in said
    path = Path(re.search(r"trace is in (\S+);", said.replace("\n", " ")).group(1))  # type: ignore[union-attr]
    assert "in fail" in path.read_text()


def test_missing_memory_is_called_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert guarded(lambda: fail(MemoryError())) == 1
    assert "the memory of this machine is not enough" in capsys.readouterr().err
