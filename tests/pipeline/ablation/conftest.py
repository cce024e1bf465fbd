import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_in_process


@pytest.fixture(scope="session")
def studied(once: Any, finished_run: Path, cohort_dir: Path) -> Path:
    """The finished run after `ablation`, with what it said; never changed."""

    def make(folder: Path) -> None:
        shutil.copytree(finished_run, folder / "tiny")
        answer = run_in_process(["ablation", "--run", str(folder / "tiny")], cache=cohort_dir.parent)
        assert answer.code == 0, answer
        (folder / "said.txt").write_text(answer.out)

    return once("studied", make) / "tiny"
