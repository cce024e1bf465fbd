from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def submit(cli: Any, tiny_recipe: Path) -> Callable[..., str]:
    """Run `submission`: `submit(run, *options, recipe=...)`; it must succeed."""

    def run(folder: Path, *options: object, recipe: Path = tiny_recipe) -> str:
        answer = cli("submission", "--recipe", recipe, "--run", folder, *options)
        assert answer.code == 0, answer
        return str(answer.out)

    return run
