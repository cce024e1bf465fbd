import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_in_process


@pytest.fixture(scope="session")
def made_anew(once: Any, finished_run: Path, cohort_dir: Path) -> Callable[[str, str], Path]:
    """A copy of the finished run under a name, made anew with a change; what was said is beside it. Never changed."""

    def remake(name: str, change: str) -> Path:
        def make(folder: Path) -> None:
            shutil.copytree(finished_run, folder / name)
            command = ["submission", "--run", str(folder / name), "--set", change, "--replace"]
            answer = run_in_process(command, cache=cohort_dir.parent)
            assert answer.code == 0, answer
            (folder / "said.txt").write_text(answer.out)

        return Path(once(f"made anew {name}", make)) / name

    return remake


@pytest.fixture(scope="session")
def other_catboost(made_anew: Callable[[str, str], Path]) -> Path:
    """With two rounds more of CatBoost."""
    return made_anew("catboost", "tabular.members[catboost].iterations=12")


@pytest.fixture(scope="session")
def ranks(made_anew: Callable[[str, str], Path]) -> Path:
    """With a blend of ranks."""
    return made_anew("ranks", "tabular.blend.method=rank_mean")


@pytest.fixture
def submit(cli: Any, tiny_recipe: Path) -> Callable[..., str]:
    """Run `submission`: `submit(run, *options, recipe=...)`; it must succeed."""

    def run(folder: Path, *options: object, recipe: Path = tiny_recipe) -> str:
        answer = cli("submission", "--recipe", recipe, "--run", folder, *options)
        assert answer.code == 0, answer
        return str(answer.out)

    return run
