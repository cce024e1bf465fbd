"""Many requests at once while the server is killed: the small form of `make soak`."""

import sys
from pathlib import Path

import pytest

from benchmarks.page_soak import soak


@pytest.mark.slow
def test_the_work_list_is_whole_after_kills(tmp_path: Path):
    size = ["--lesions", "400", "--patients", "20", "--folder", str(tmp_path / "run")]
    command = [sys.executable, "-m", "benchmarks.page_tables", "--serve", "0", *size]
    found, wrong = soak(command, tmp_path / "run", requests=150, at_once=20, kills=1)
    assert wrong == []
    assert found.answers == {200: 150}
