import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_in_process
from tests.real_data import unmarked


@pytest.fixture(scope="session")
def real_data(once: Any, cohort_dir: Path) -> Path:
    """The cohort as data that count as real; never changed."""
    return once("real data", lambda folder: unmarked(cohort_dir, folder))


@pytest.fixture(scope="session")
def real_run(once: Any, finished_run: Path, cohort_dir: Path, real_data: Path) -> Path:
    """The folder of a finished run on data that count as real; never changed. Of the finished one all but the
    submission holds for them."""

    def make(folder: Path) -> None:
        shutil.copytree(finished_run, folder / "real")
        command = ["submission", "--run", str(folder / "real"), "--data", str(real_data), "--replace"]
        answer = run_in_process(command, cache=cohort_dir.parent)
        assert answer.code == 0, answer

    return once("real run", make) / "real"


@pytest.fixture
def own_real_run(real_run: Path, real_data: Path, cli: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of it and of its data that a test may change and move: the run and the data."""
    run = shutil.copytree(real_run, tmp_path / "runs" / "real")
    data = shutil.copytree(real_data, tmp_path / "data")
    # The data are in another place than the run remembers.
    answer = cli("tabular", "--run", run, "--data", data)
    assert answer.code == 0, answer
    return run, data
