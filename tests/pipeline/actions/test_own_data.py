"""A run made on a folder of data remembers it: no later verb takes the synthetic cohort in its place."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.files import read_json
from data.whole_folder import MANIFEST
from tests.conftest import Answer
from tests.folders import bytes_of, written
from tests.real_data import unmarked

pytestmark = pytest.mark.slow

ALL_DONE = ("all 6 fold models are done", "all 12 boosters are done")


def all_is_done(answer: Answer) -> bool:
    return answer.code == 0 and all(words in answer.out for words in ALL_DONE)


@pytest.mark.parametrize("verb", ["oof", "tabular", "submission"])
def test_a_run_on_data_goes_on_with_them_when_they_are_not_named_again(
    cli: Any, real_run: Path, tmp_path: Path, verb: str
):
    run = shutil.copytree(real_run, tmp_path / "copy")
    before, said = written(run), bytes_of(run)
    answer = cli(verb, "--run", run)
    assert answer.code == 0, answer
    assert ALL_DONE[0] in answer.out
    assert verb == "oof" or ALL_DONE[1] in answer.out
    assert "synthetic" not in answer.out
    assert written(run) == before
    assert bytes_of(run) == said


def test_a_report_of_it_reads_its_own_data(cli: Any, real_run: Path, tmp_path: Path):
    run = shutil.copytree(real_run, tmp_path / "copy")
    before = bytes_of(run, {".lock", "report.html", "metrics.json"})
    answer = cli("report", "--run", run)
    assert answer.code == 0, answer
    assert bytes_of(run, {".lock", "report.html", "metrics.json"}) == before
    assert read_json(run / "metrics.json")["synthetic"] is False


def test_data_that_have_moved_are_asked_for_and_taken(cli: Any, own_real_run: tuple[Path, Path], tmp_path: Path):
    run, data = own_real_run
    assert read_json(run / "run.json")["data"] == str(data)
    moved = data.rename(tmp_path / "moved")
    before = bytes_of(run)
    for verb in ("tabular", "submission", "report", "ablation"):
        answer = cli(verb, "--run", run)
        assert answer.code == 2, (verb, answer)
        assert f"data folder {data} does not exist" in answer.err
        assert "--data" in answer.err
        assert answer.err.count("error:") == 1
    assert bytes_of(run) == before
    assert all_is_done(cli("tabular", "--run", run, "--data", moved))
    assert read_json(run / "run.json")["data"] == str(moved)
    assert all_is_done(cli("submission", "--run", run))


def test_a_look_at_moved_data_does_not_change_what_the_run_remembers(
    cli: Any, own_real_run: tuple[Path, Path], tmp_path: Path
):
    run, data = own_real_run
    moved = data.rename(tmp_path / "moved")
    before = bytes_of(run, {".lock", "report.html", "metrics.json"})
    assert cli("report", "--run", run, "--data", moved).code == 0
    assert cli("verify", "--run", run, "--data", moved).code == 0
    assert bytes_of(run, {".lock", "report.html", "metrics.json"}) == before


def test_a_run_made_before_runs_knew_their_data_asks_for_them(cli: Any, own_real_run: tuple[Path, Path]):
    run, data = own_real_run
    (run / "run.json").unlink()
    answer = cli("tabular", "--run", run)
    assert answer.code == 2, answer
    assert "was made from a data folder of which it does not say where it is: give it with --data" in answer.err
    assert all_is_done(cli("submission", "--run", run, "--data", data))
    assert all_is_done(cli("submission", "--run", run))


def test_a_run_on_invented_lesions_made_before_runs_knew_their_data_goes_on(cli: Any, run_copy: Path):
    (run_copy / "run.json").unlink()
    assert all_is_done(cli("submission", "--run", run_copy))
    assert read_json(run_copy / "run.json")["invented"] is True


def test_a_damaged_record_is_one_message_of_every_verb(cli: Any, run_copy: Path):
    (run_copy / "run.json").write_bytes(b"{")
    before = bytes_of(run_copy)
    for verb in (["report"], ["submission"], ["plan"], ["verify"], ["oof", "--dry-run"]):
        answer = cli(*verb, "--run", run_copy)
        assert answer.code == 2, (verb, answer)
        assert answer.err.startswith("error: ")
        assert str(run_copy / "run.json") in answer.err
        assert "Traceback" not in answer.err
    assert bytes_of(run_copy) == before


def test_a_copy_of_the_synthetic_cohort_is_still_invented(
    cli: Any, tiny_recipe: Path, cohort_dir: Path, tmp_path: Path
):
    recorded = {}
    for name, data in (
        ("copied", shutil.copytree(cohort_dir, tmp_path / "copied")),
        ("unmarked", unmarked(cohort_dir, tmp_path / "unmarked")),
    ):
        run = tmp_path / "runs" / name
        changes = (
            "--set",
            "image_models=[]",
            "--set",
            "tabular.members=[{name='x', booster='lightgbm', iterations=2}]",
        )
        answer = cli("submission", "--recipe", tiny_recipe, "--data", data, "--run", run, *changes)
        assert answer.code == 0, answer
        recorded[name] = read_json(run / "run.json")["invented"], read_json(run / "metrics.json")["synthetic"]
        assert ("these lesions are synthetic" in answer.out) == (name == "copied")
        assert ("demo leaderboard" in answer.out) == (name == "copied")
    assert recorded == {"copied": (True, True), "unmarked": (False, False)}


LOUD = "were trained on INVENTED lesions: what they say of real patients means nothing"


def test_real_patients_are_not_predicted_by_invented_ones_without_a_loud_warning(
    cli: Any, finished_run: Path, real_run: Path, real_data: Path, cohort_dir: Path, tmp_path: Path
):
    warned = {}
    for name, run, data in (
        ("invented run, real table", finished_run, real_data),
        ("invented run, invented table", finished_run, cohort_dir),
        ("real run, real table", real_run, real_data),
        ("real run, invented table", real_run, cohort_dir),
    ):
        answer = cli(
            *("predict", "--run", run, "--out", tmp_path / "out.csv"),
            *("--metadata", data / "test-metadata.csv", "--images", data / "test-image.hdf5"),
        )
        assert answer.code == 0, answer
        assert pl.read_csv(tmp_path / "out.csv").height == 150
        warned[name] = LOUD in answer.out
    assert warned == {name: name == "invented run, real table" for name in warned}
    assert (cohort_dir / MANIFEST).is_file()
