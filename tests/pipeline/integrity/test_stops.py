"""A run that is asked to stop, finds its disk full, loses files as it works or lives through a jump of the clock."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from pipeline.integrity.diff import diff_runs
from pipeline.integrity.records import content, differences
from pipeline.lock import hold

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STEPS = [
    "folds.parquet",
    "oof/narrow/fold_1/model.safetensors",
    "oof/wide/fold_0/predictions.parquet",
    "oof/narrow/fold_2/test/predictions.parquet",
    "features/fold_1/encoder.json",
    "tabular/catboost/fold_1/seed_42/model.cbm",
    "tabular/xgboost/fold_2/seed_42/predictions.parquet",
]


@pytest.fixture
def submit(cli: Any, tiny_recipe: Path) -> Any:
    return lambda run, *options: cli("submission", "--recipe", tiny_recipe, "--run", run, *options)


def test_a_request_to_stop_ends_every_stage_after_its_step(
    submit: Any, when_named: Any, finished_run: Path, tmp_path: Path
):
    run = tmp_path / "run"
    for place, name in enumerate(STEPS):
        number = (signal.SIGTERM, signal.SIGINT)[place % 2]
        when_named(name, lambda number=number: os.kill(os.getpid(), number))
        answer = submit(run)
        assert answer.code == 128 + number, (name, answer)
        assert "stopping after this step" in answer.out, name
        assert "the same command goes on from here" in answer.err, name
        assert (run / name).is_file(), f"the step that wrote {name} was not finished"
        assert not list(run.rglob(".*.tmp"))
    assert submit(run).code == 0
    assert differences(content(finished_run), content(run)) == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 100)], ids=["deleted", "truncated"])
def test_a_file_lost_while_the_run_goes_on_stops_it_and_is_made_again(
    submit: Any, when_named: Any, finished_run: Path, run_copy: Path, harm: Any
):
    victim = run_copy / "oof" / "narrow" / "fold_0" / "predictions.parquet"
    (run_copy / "oof" / "report.json").unlink()
    (run_copy / "oof" / "wide" / "fold_2" / "report.json").unlink()
    when_named("oof/wide/fold_2/predictions.parquet", lambda: harm(victim))
    answer = submit(run_copy)
    assert answer.code == 2, answer
    assert str(victim) in answer.err
    again = submit(run_copy)
    assert again.code == 0, again
    assert re.search(r"narrow, fold 0: predictions.parquet is (missing|damaged)", again.out)
    assert differences(content(finished_run), content(run_copy)) == []


@pytest.fixture
def file_limit() -> Iterator[Any]:
    """Set the largest file that this process may write; as a full disk, it refuses in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "name",
    [
        "oof/wide/fold_1/model.safetensors",
        "oof/oof.parquet",
        "tabular/catboost/fold_0/seed_42/model.cbm",
        "tabular/xgboost/fold_0/seed_42/model.ubj",
        "submission.csv",
    ],
)
def test_a_full_disk_is_one_message_and_loses_nothing(
    submit: Any, finished_run: Path, run_copy: Path, file_limit: Any, name: str
):
    path = run_copy / name
    size = path.stat().st_size
    if size <= (run_copy / "recipe.toml").stat().st_size:
        pytest.skip(f"{name} is no larger than the recipe, which is written first")
    path.unlink()
    file_limit(size - 1)
    answer = submit(run_copy)
    file_limit(resource.RLIM_INFINITY)
    assert answer.code == 2, answer
    assert re.search(rf"{re.escape(name)}: File too large; free some space", answer.err), answer.err
    assert not path.exists()
    assert not list(run_copy.rglob(".*.tmp"))
    assert submit(run_copy).code == 0
    assert differences(content(finished_run), content(run_copy)) == []


def test_a_file_system_without_room_is_said(tiny_recipe: Path, cohort_dir: Path, finished_run: Path, tmp_path: Path):
    """A real one, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    run, mount = tmp_path / "run", "mount -t tmpfs -o size=64k tmpfs"
    run.mkdir()
    if subprocess.run(["unshare", "-rm", "sh", "-c", f"{mount} {run}"], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    command = f'{mount} {run} && exec "$0" -m fusionnetx submission --recipe {tiny_recipe} --run {run}'
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "FUSIONNETX_CACHE": str(cohort_dir.parent), "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 2, ended
    assert "No space left on device; free some space, and the same command goes on from here" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_jumping_clock_changes_nothing(
    submit: Any, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    jumps = [0.0, 4e9, 1.0, 9e8, 2e9]
    looks = [0]

    def jumping() -> float:
        looks[0] += 1
        return jumps[looks[0] % len(jumps)]

    monkeypatch.setattr(time, "time", jumping)
    run = tmp_path / "run"
    assert submit(run).code == 0
    assert differences(content(finished_run), content(run)) == []
    again = diff_runs(finished_run, run)
    assert (again.steps, again.only_left, again.only_right) == ((), (), ())
    for place, path in enumerate(path for path in run.rglob("*") if path.is_file()):
        os.utime(path, (jumps[place % 5], jumps[place % 5]))
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*report.json")}
    assert submit(run).code == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*report.json")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user; the run folder's tests cover others")
def test_a_run_folder_of_someone_else_is_named():
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run.mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(DataError, match=r"run cannot be written: Permission denied; choose another"), hold(run):
                pytest.fail("held")
        finally:
            os.seteuid(0)
