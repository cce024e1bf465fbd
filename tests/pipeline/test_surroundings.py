"""Surroundings of any kind: paths whose names are no text, output that nobody takes, Python without docstrings."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.held import held_folder, scratch_folder
from data.spelled import spelled
from data.synthetic.isic2024 import cohort

ODD = os.fsdecode(b"caf\xe9")


@pytest.fixture
def odd(finished_run: Path, cohort_dir: Path, tmp_path: Path) -> Path:
    """A folder whose name is no text, with a run, a table and images in it."""
    folder = tmp_path / ODD
    shutil.copytree(finished_run, folder / ODD)
    for name in ("test-metadata.csv", "test-image.hdf5"):
        shutil.copy(cohort_dir / name, folder / f"{ODD}{Path(name).suffix}")
    return folder


def test_spelled_names_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / f"{ODD}.csv"
    path.write_text("a\n1\n")
    with spelled(path) as name:
        assert pl.read_csv(name)["a"].to_list() == [1]
    with spelled(tmp_path) as name:
        assert name == tmp_path
    with held_folder(tmp_path / ODD) as folder:
        pl.DataFrame({"a": [1]}).write_parquet(folder / "a.parquet")
        folder.replace(tmp_path / ODD)
    assert (tmp_path / ODD / "a.parquet").is_file()


@pytest.mark.parametrize("ending", ["csv", "parquet", "xlsx"])
def test_predict_takes_and_writes_names_that_are_no_text(
    ending: str, odd: Path, cli: Callable[..., Any], cohort_dir: Path
) -> None:
    out = odd / f"{ODD}-out.{ending}"
    files = ["--metadata", odd / f"{ODD}.csv", "--images", odd / f"{ODD}.hdf5", "--out", out]
    answer = cli("predict", "--run", odd / ODD, *files)
    assert answer.code == 0, answer
    assert out.stat().st_size > 0
    assert answer.out.encode()
    assert not [path for path in odd.iterdir() if path.name.endswith(".tmp")]


def test_every_stage_works_where_names_are_no_text(odd: Path, cli: Callable[..., Any], cohort_dir: Path) -> None:
    run = odd / ODD
    before = (run / "submission.csv").read_bytes()
    for name in ("oof/narrow/fold_0", "features", "tabular", "submission.csv", "submission.json"):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    data = shutil.copytree(cohort_dir, odd / f"{ODD}-data")
    assert cli("submission", "--run", run, "--data", data).code == 0
    assert (run / "submission.csv").read_bytes() == before
    for words in (["verify", "--data", data], ["plan"], ["card"], ["export", "--out", odd / "exported"], ["report"]):
        answer = cli(words[0], "--run", run, *words[1:])
        assert answer.code == 0, (words, answer)
    assert cli("features", "--run", run, "--table", odd / f"{ODD}.csv", "--out", odd / "features").code == 0


OUTPUT = """
import sys
from fusionnetx.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--help"], ["recipes"], ["verify", "--run", "tiny"]], ids=lambda words: words[0])
def test_output_that_nobody_takes(words: list[str], finished_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OUTPUT, *words]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    reading, writing = os.pipe()
    os.close(reading)
    words[-1:] = [str(finished_run)] if words[-1] == "tiny" else words[-1:]
    command = [sys.executable, "-c", OUTPUT, *words]
    gone = subprocess.run(command, env=where, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (141, b"")
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, env=where, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: a file, or what is printed: No space left on device")
    assert done.stderr.count(b"\n") == 1


def test_python_without_docstrings_is_refused_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    """LightGBM and XGBoost cannot be imported then, which would be found out after stage one."""
    command = [sys.executable, "-OO", "-c", OUTPUT, "submission", "--recipe", str(tiny_recipe), "--run", "run"]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=where, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert "docstrings" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    for words in (["--help"], ["predict", "--help"], ["recipes"], ["runs"]):
        looked = subprocess.run([*command[:4], *words], env=where, cwd=tmp_path, capture_output=True, check=True)
        assert looked.stdout, words


def test_a_full_disk_is_named(tmp_path: Path, cli: Callable[..., Any], tiny_recipe: Path, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fell_short(*_: object, **_options: object) -> None:
        raise OSError("150 requested and 82 written")

    cache = tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        answer = cli("demo-data", "--recipe", tiny_recipe, cache=cache)
    assert answer.code == 2
    assert f"{cache}: No space left on device; free some space" in answer.err
    assert list(cache.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", fell_short)
        data = ["--data", cohort_files(cli, tiny_recipe, tmp_path)]
        answer = cli("oof", "--recipe", tiny_recipe, *data, "--run", tmp_path / "run", cache=cache)
    assert answer.code == 2
    assert f"{cache} cannot take an image pack (No space left on device). Free some space" in answer.err


def cohort_files(cli: Callable[..., Any], recipe: Path, folder: Path) -> Path:
    """The tiny cohort, made once more."""
    assert cli("demo-data", "--recipe", recipe, cache=folder / "other").code == 0
    return next((folder / "other").glob("synthetic-*"))


def test_a_full_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="No space") as caught, scratch_folder():
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="No space") as caught, scratch_folder():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/out.csv")
    assert caught.value.filename == "/elsewhere/out.csv"


def test_hdf5_is_never_given_what_finds_no_room(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=r"No space|too large"):
        cohort._require_room(tmp_path / "a", 2**60)
