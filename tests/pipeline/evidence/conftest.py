import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_in_process


@pytest.fixture(scope="session")
def proven(once: Any, finished_run: Path, cohort_dir: Path) -> Path:
    """The finished run after `evidence --inputs --robustness`, with what it said; never changed."""

    def make(folder: Path) -> None:
        shutil.copytree(finished_run, folder / "tiny")
        command = ["evidence", "--run", str(folder / "tiny"), "--inputs", "--robustness"]
        answer = run_in_process(command, cache=cohort_dir.parent)
        assert answer.code == 0, answer
        (folder / "said.txt").write_text(answer.out)

    return once("proven", make) / "tiny"


@pytest.fixture(scope="session")
def figures(proven: Path) -> dict[str, Any]:
    return json.loads((proven / "evidence.json").read_text())
