import stat
import sys
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.lock import hold


def test_a_lock_is_never_followed_through_a_link(tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").symlink_to(precious)
    with pytest.raises(DataError, match="cannot be written"), hold(run):
        pass
    assert precious.read_text() == "keep me"


def test_removing_the_lock_file_lets_nobody_in(tmp_path: Path):
    with hold(tmp_path / "run"):
        (tmp_path / "run" / ".lock").unlink()
        with pytest.raises(DataError, match="is in use by"), hold(tmp_path / "run"):
            pass
    with hold(tmp_path / "run"):
        pass


def test_the_lock_tells_the_verb_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ["/bin/fusionnetx", "tabular", "--storage=postgresql://tuner:hunter2@db/studies", "--run", "x"]
    monkeypatch.setattr(sys, "argv", words)
    with hold(tmp_path / "run"):
        path = tmp_path / "run" / ".lock"
        assert path.read_text().endswith("fusionnetx tabular\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
