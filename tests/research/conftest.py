"""What tests of the systems share: one cache, and runs on the smallest twins."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime

SMALL = ("data.twin.lesions=60", "data.twin.image_side=33", "folds.count=3")
Place = Callable[..., Inputs]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the twins of this module."""
    return tmp_path_factory.mktemp("systems-cache")


@pytest.fixture(scope="module")
def place(cache: Path) -> Place:
    """The inputs of a run on a recipe's smallest twin."""

    def make(recipe: str, run: Path, *changes: str) -> Inputs:
        runtime = Runtime(Display(Console(quiet=True)), LocalExecutor(), cache, cache / "weights")
        return Inputs(Run.of(load_recipe(recipe, [*SMALL, *changes]), run), runtime)

    return make
