"""What a verb writes is a regular file that it does not read; names of sheets are safe; surroundings of any kind."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.files import no_room
from pipeline.actions.outputs import refuse_folder, refuse_output
from pipeline.explain.sheet import file_name_of
from pipeline.kaggle.wheels import refuse_unknown
from pipeline.printable import printable


def test_an_input_is_never_an_output(tmp_path: Path) -> None:
    table, images = tmp_path / "mm.csv", tmp_path / "images"
    table.write_text("x")
    images.mkdir()
    os.link(table, tmp_path / "same.csv")
    (tmp_path / "link.csv").symlink_to(table)
    for out in ("mm.csv", "images/../mm.csv", "same.csv", "link.csv", "images/out.csv", "images", ".", "/"):
        with pytest.raises(DataError):
            refuse_output(tmp_path / out, (table, images, None))
    refuse_output(tmp_path / "out.csv", (table, images, None))


@pytest.mark.parametrize("out", ["/dev/null", "/dev/full", "/", "."])
def test_devices_and_folders_are_refused(out: str) -> None:
    with pytest.raises(DataError, match=r"nothing is written there|no folder"):
        refuse_output(Path(out), ())


@pytest.mark.parametrize("out", ["/dev/null", "/", "..", "."])
def test_no_folder_is_made_of_these(out: str) -> None:
    with pytest.raises(DataError, match="no folder of its own"):
        refuse_folder(Path(out))


def test_predict_does_not_replace_its_own_table(cli: Callable[..., Any], finished_run: Path, cohort_dir: Path) -> None:
    table = cohort_dir / "test-metadata.csv"
    before = table.read_bytes()
    answer = cli("predict", "--run", finished_run, "--metadata", table, "--out", table)
    assert answer.code == 2
    assert "is among what is read" in answer.err
    assert table.read_bytes() == before
    recipe = finished_run / "recipe.toml"
    settings = recipe.read_bytes()
    answer = cli("predict", "--run", finished_run, "--metadata", table, "--out", recipe)
    assert answer.code == 2
    assert "must end in" in answer.err
    assert recipe.read_bytes() == settings


def test_nothing_is_fetched_onto_a_device(cli: Callable[..., Any]) -> None:
    answer = cli("data", "isic2024", "--out", "/dev/null")
    assert answer.code == 2
    assert "no folder of its own" in answer.err


def test_sheets_have_safe_and_different_names() -> None:
    ids = ["ISIC_1", "isic_1", "a/b", "a_b", "a:b", "..", ".", "", "/etc/passwd", "x" * 300, "x" * 301, "é", "e", "E"]
    names = [file_name_of(one) for one in ids]
    assert len({name.lower() for name in names}) == len(ids)
    assert all(len(name) < 110 and name.isascii() and "/" not in name and "." not in name for name in names)
    assert file_name_of("ISIC_0015670") == "ISIC_0015670"
    assert names == [file_name_of(one) for one in ids]


def test_undecodable_names_can_be_shown() -> None:
    assert printable(os.fsdecode(b"caf\xe9.csv")).encode()


def test_a_requirement_that_is_not_installed_is_one_message() -> None:
    with pytest.raises(DataError, match="--lacking no-such-thing: no such package"):
        refuse_unknown(["no-such-thing"])


def test_numpys_words_for_a_full_disk_are_known() -> None:
    assert no_room(OSError("150 requested and 82 written")) is not None


VERBS = """
import os, sys
from fusionnetx.cli import main
for words in (["features", "--help"], ["features"], ["runs"], ["check", "--data", os.getcwd()]):
    try:
        main(words)
    except SystemExit as end:
        print("ended with", end.code, flush=True)
"""


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONOPTIMIZE": "1", "LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "ascii"],
)
def test_verbs_work_in_any_surroundings(variables: dict[str, str], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([sys.executable, "-c", VERBS], cwd=odd, env=env, capture_output=True, check=True)
    ends = [line for line in done.stdout.decode("ascii").splitlines() if line.startswith("ended with")]
    assert ends == ["ended with 0"] * 3 + ["ended with 2"], done
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"a fault of" not in done.stdout + done.stderr
