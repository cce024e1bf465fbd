"""What tests of the whole share: one tiny recipe, its cohort and one finished run, made once; and the command line."""

import contextlib
import fcntl
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.few import write_few

TINY = """
description = "Seconds on one core: every stage at its smallest"
seed = 7

[data]
image_size = 32
max_missing_images = 0.05
workers = 1

[data.synthetic]
lesions = 600
test_lesions = 150
patients = 30
test_patients = 12
malignant = 60
test_malignant = 24
seed = 11

[folds]
count = 3
seed = 3

# With another number of threads a network's sums round otherwise; a process of its own for each takes seconds to start.
[resources]
image_model_cpus = 1
image_models_at_once = 1

[[image_models]]
name = "narrow"
backbone = "lesion_net"
pretrained = "none"
image_size = 32
hidden = 4
epochs = 1
learning_rate = 3e-3
precision = "fp32"

[[image_models]]
name = "wide"
backbone = "lesion_net"
pretrained = "none"
image_size = 32
hidden = 16
epochs = 1
learning_rate = 3e-3
precision = "fp32"

[features]
families = ["published", "colour", "patient_z", "counts", "image_logit", "image_ratio"]

[[tabular.members]]
name = "lightgbm_metadata"
booster = "lightgbm"
image_columns = false
iterations = 10
parameters = { min_data_in_leaf = 10 }

[[tabular.members]]
name = "lightgbm"
booster = "lightgbm"
iterations = 10
parameters = { min_data_in_leaf = 10 }

[[tabular.members]]
name = "catboost"
booster = "catboost"
iterations = 10
parameters = { depth = 3 } # a tenth of the time of 7

[[tabular.members]]
name = "xgboost"
booster = "xgboost"
iterations = 10
parameters = { min_child_weight = 1 }

[tabular.resample]
method = "over_then_under"
over_ratio = 0.2
under_ratio = 0.5
"""

Once = Callable[[str, Callable[[Path], object]], Path]


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first in either half, which two workers begin with: so both end at about one time."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = [own for own in files.values() if any(item.get_closest_marker("slow") for item in own)]
    first, second = ([item for own in slow[place::2] for item in own] for place in (0, 1))
    quick = [item for own in files.values() if own not in slow for item in own]
    more = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *quick[:more], *second, *quick[more:]]


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Only a loss of power tells what was synced from what was written; that it is asked for is in data/test_files."""
    connect = sqlite3.dbapi2.connect

    def connected(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **settings)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(sqlite3.dbapi2, "connect", connected)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all workers of a parallel test run: `once(name, make)`."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                unfinished = shared / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return get


@pytest.fixture(scope="session")
def tiny_recipe(once: Once) -> Path:
    """The tiny recipe as a file."""
    return once("recipe", lambda folder: (folder / "tiny.toml").write_text(TINY)) / "tiny.toml"


@pytest.fixture(scope="session")
def cohort_dir(once: Once, tiny_recipe: Path) -> Path:
    """The tiny recipe's cohort in Kaggle's files; never edit it."""

    def make(folder: Path) -> None:
        assert run_in_process(["demo-data", "--recipe", str(tiny_recipe)], cache=folder).code == 0

    cache = once("cache", make)
    return next(cache.glob("synthetic-*"))


@pytest.fixture(scope="session")
def few(once: Once, cohort_dir: Path) -> Path:
    """Forty training lesions (ten malignant) and ten test lesions of the tiny cohort; copy before changing anything."""
    return once("few", lambda folder: write_few(cohort_dir, folder))


@pytest.fixture(scope="session")
def finished_run(once: Once, tiny_recipe: Path, cohort_dir: Path) -> Path:
    """The folder of a finished `submission` of the tiny recipe; copy it before changing anything."""

    def make(folder: Path) -> None:
        command = ["submission", "--recipe", str(tiny_recipe), "--run", str(folder / "tiny")]
        answer = run_in_process(command, cache=cohort_dir.parent)
        assert answer.code == 0, answer
        (folder / "said.txt").write_text(answer.out)

    return once("runs", make) / "tiny"


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return shutil.copytree(finished_run, tmp_path / "runs" / "tiny")


@pytest.fixture
def variant(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """The tiny recipe changed by a function of its tables, as a file."""

    def make(change: Callable[[dict[str, Any]], object]) -> Path:
        from pipeline.recipe import parse_recipe, recipe_text

        raw = tomllib.loads(TINY)
        change(raw)
        path = tmp_path / "variant.toml"
        path.write_text(recipe_text(parse_recipe(raw, "variant")))
        return path

    return make


@pytest.fixture
def cli(cohort_dir: Path) -> Callable[..., Answer]:
    """Run the command line in this process: `cli("submission", "--recipe", path, ...)`."""

    def run(*arguments: object, cache: Path = cohort_dir.parent) -> Answer:
        return run_in_process([str(argument) for argument in arguments], cache=cache)

    return run


def run_in_process(arguments: list[str], cache: Path) -> Answer:
    """Call the command line as `fusionnetx` does, with its output kept."""
    import torch

    from fusionnetx.cli import app, guarded

    torch.set_num_threads(1)
    out, err = io.StringIO(), io.StringIO()
    with one_thread_and(cache), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = guarded(lambda: app(args=arguments))
    return Answer(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def one_thread_and(cache: Path) -> Iterator[None]:
    """The cache of the tests, a page wide enough for every table, and boosters on one thread.

    Several test processes with as many threads each as there are cores would mostly wait for each other.
    """
    from pipeline.runtime import Runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIONNETX_CACHE", str(cache))
        patch.setenv("COLUMNS", "220")
        patch.delenv("FORCE_COLOR", raising=False)
        patch.setattr(Runtime, "threads", 1)
        yield


@pytest.fixture
def start(cohort_dir: Path, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command line in a process of its own; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, cwd: Path = tmp_path, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "fusionnetx", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={
                **os.environ,
                "FUSIONNETX_CACHE": str(cohort_dir.parent),
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "passive",
                "PYTHONUNBUFFERED": "1",
                **variables,
            },
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
