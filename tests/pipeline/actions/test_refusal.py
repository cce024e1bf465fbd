"""Finished steps are not lost to another recipe or other data unless `--replace` is given; a refusal writes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.files import read_json
from pipeline.recipe import load_recipe
from tests.conftest import Answer
from tests.folders import bytes_of, reports_changed, written
from tests.real_data import unmarked

pytestmark = pytest.mark.slow

LOSSES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a network's epochs": (("image_models[wide].epochs=2",), "epochs 1 -> 2", "image model wide, fold 0"),
    "a booster's iterations": (
        ("tabular.members[catboost].iterations=12",), "iterations 10 -> 12", "member catboost, fold 0, seed 42"
    ),
    "the seed of the run": (("seed=8",), "seed 7 -> 8", "image model narrow, fold 0"),
    "the number of folds": (("folds.count=4",), "folds.count 3 -> 4", "folds"),
    "the size of the pack": (("data.image_size=16",), "data.image_size 32 -> 16", "image model narrow, fold 0"),
    "the features": (("features.without=['colour']",), "features.without", "encoder of fold 0"),
    "the blend": (("tabular.blend.method=rank_mean",), "'mean' -> 'rank_mean'", "blend"),
    "a member left out": (("tabular.members=[]",), "tabular.members", "member lightgbm_metadata, fold 0, seed 42"),
    "no image models": (("image_models=[]",), "image_models", "image model narrow, fold 0"),
    "nested columns": (("tabular.nested=true",), "tabular.nested False -> True", "encoder of fold 0"),
}  # fmt: skip
HARMLESS = (
    ("description=another word for it",),
    ("resources.boosters_at_once=1",),
    ("image_models[wide].checkpoint_seconds=5.0",),
    ("data.workers=2",),
)
ALMOST_NOTHING = ("image_models=[]", "tabular.members=[{name='x', booster='lightgbm', iterations=2}]")


def with_set(changes: tuple[str, ...]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def assert_refused(answer: Answer, run: Path, before: dict[str, bytes], *words: str) -> None:
    """One message, exit code 2, nothing written."""
    assert answer.code == 2, answer
    assert answer.err.count("error:") == 1
    assert "Traceback" not in answer.err
    assert f"run {run} was made with another recipe or other data" in answer.err
    for word in (*words, "--replace", "--run"):
        assert word in answer.err, answer.err
    assert bytes_of(run) == before


@pytest.fixture
def losing(cli: Any, run_copy: Path) -> Callable[..., None]:
    """Try a command that would lose finished steps; it must be refused, and the first of them named."""

    def tried(*command: object, words: tuple[str, ...], first: str) -> None:
        before = bytes_of(run_copy)
        answer = cli(*command, "--run", run_copy)
        assert_refused(answer, run_copy, before, *words, f"(first: {first})")

    return tried


@pytest.mark.parametrize("case", LOSSES)
def test_what_would_be_lost_is_named(losing: Any, case: str):
    changes, words, first = LOSSES[case]
    losing("submission", *with_set(changes), words=(words,), first=first)


@pytest.mark.parametrize("verb", ["oof", "tabular", "submission"])
def test_every_verb_that_trains_refuses(losing: Any, verb: str):
    """Stage one alone would leave the rest behind, stale."""
    changes, words, first = LOSSES["a booster's iterations"]
    losing(verb, *with_set(changes), words=(words,), first=first)


def test_another_recipe_is_refused(losing: Any, variant: Any):
    def change(raw: dict[str, Any]) -> None:
        raw.update(seed=42, folds={"count": 4, "seed": 1})
        for one in (*raw["image_models"], *raw["tabular"]["members"]):
            one["name"] += "_too"

    losing("submission", "--recipe", variant(change), words=("seed 7 -> 42", "and ", " more"), first="folds")


def test_a_recipe_with_one_member_more_would_make_the_blend_stale(losing: Any, variant: Any):
    member = {"name": "newcomer", "booster": "lightgbm", "image_columns": False, "iterations": 5}
    recipe = variant(lambda raw: raw["tabular"]["members"].append(member))
    losing("submission", "--recipe", recipe, words=("1 finished steps",), first="blend")


def test_a_recipe_with_one_member_less_would_leave_its_models_behind(losing: Any, variant: Any):
    recipe = variant(lambda raw: raw["tabular"]["members"].pop())
    losing("submission", "--recipe", recipe, words=("members",), first="member xgboost, fold 0, seed 42")


def test_members_in_another_order_would_make_the_blend_stale(losing: Any, variant: Any):
    recipe = variant(lambda raw: raw["tabular"]["members"].reverse())
    losing("submission", "--recipe", recipe, words=("the order of its models or members",), first="blend")


def changed_data(cohort_dir: Path, folder: Path) -> Path:
    """The cohort with one word more in its training table."""
    shutil.copytree(cohort_dir, folder)
    table = folder / "train-metadata.csv"
    table.write_text(table.read_text() + "\n")
    return folder


@pytest.mark.parametrize("verb", ["oof", "tabular", "submission"])
def test_other_data_are_refused(losing: Any, cohort_dir: Path, tmp_path: Path, verb: str):
    other = changed_data(cohort_dir, tmp_path / "other")
    losing(verb, "--data", other, words=("train table (its content)",), first="folds")


def test_another_test_table_would_lose_its_predictions(losing: Any, cohort_dir: Path, tmp_path: Path):
    other = shutil.copytree(cohort_dir, tmp_path / "other")
    table = other / "test-metadata.csv"
    table.write_text(table.read_text() + "\n")
    losing("submission", "--data", other, words=("test table (its content)",), first="submission")


def test_the_same_files_as_real_data_would_lose_the_submission(losing: Any, cohort_dir: Path, tmp_path: Path):
    """What was scored against an answer key is not what real data give."""
    real = unmarked(cohort_dir, tmp_path / "real")
    losing("submission", "--data", real, words=("invented",), first="submission")


@pytest.mark.parametrize("changes", HARMLESS, ids=str)
def test_what_loses_nothing_is_not_refused(cli: Any, run_copy: Path, changes: tuple[str, ...]):
    before = written(run_copy)
    answer = cli("tabular", "--run", run_copy, *with_set(changes))
    assert answer.code == 0, answer
    assert written(run_copy) == before
    assert load_recipe(str(run_copy / "recipe.toml")) == load_recipe(str(run_copy / "recipe.toml"), changes)


def test_the_same_recipe_and_the_same_data_may_be_named(
    cli: Any, run_copy: Path, tiny_recipe: Path, cohort_dir: Path, tmp_path: Path
):
    before = written(run_copy)
    copy = shutil.copytree(cohort_dir, tmp_path / "the same")
    for data in ((), ("--data", copy)):
        answer = cli("submission", "--recipe", tiny_recipe, "--run", run_copy, *data)
        assert answer.code == 0, answer
    assert written(run_copy) == before


def test_only_what_is_finished_can_be_lost(cli: Any, run_copy: Path):
    """Stage two is gone, so another booster loses nothing; another network would."""
    shutil.rmtree(run_copy / "tabular")
    (run_copy / "submission.json").unlink()
    changes = with_set(LOSSES["a booster's iterations"][0])
    before = bytes_of(run_copy)
    answer = cli("tabular", "--run", run_copy, *changes, *with_set(LOSSES["a network's epochs"][0]))
    assert_refused(answer, run_copy, before, "(first: image model wide, fold 0)")
    answer = cli("tabular", "--run", run_copy, *changes)
    assert answer.code == 0, answer
    assert "all 6 fold models are done" in answer.out


def test_damage_is_no_loss_and_is_mended_without_asking(cli: Any, run_copy: Path):
    (run_copy / "tabular" / "catboost" / "fold_0" / "seed_42" / "model.cbm").write_bytes(b"x")
    answer = cli("tabular", "--run", run_copy)
    assert answer.code == 0, answer
    assert "model.cbm is damaged" in answer.out


def test_replace_has_it_made_anew_and_the_run_is_that_of_the_new_recipe(
    cli: Any, finished_run: Path, other_catboost: Path, tmp_path: Path
):
    assert "iterations 10 -> 12" in (other_catboost.parent / "said.txt").read_text()
    folds = {f"tabular/catboost/fold_{fold}/seed_42" for fold in range(3)}
    changed = reports_changed(written(finished_run), written(other_catboost))
    assert changed == {*folds, "tabular", "tabular/calibration"}
    # From here on the new recipe is the run's own.
    run = shutil.copytree(other_catboost, tmp_path / "tiny")
    after = bytes_of(run)
    again = cli("submission", "--run", run)
    assert again.code == 0, again
    assert bytes_of(run) == after
    assert cli("verify", "--run", run).code == 0


def test_replace_takes_other_data(cli: Any, run_copy: Path, cohort_dir: Path, tmp_path: Path):
    other, folds = changed_data(cohort_dir, tmp_path / "other"), run_copy / "folds.json"
    before = read_json(folds)["inputs"]["train table"]
    answer = cli("submission", "--run", run_copy, "--data", other, "--replace", *with_set(ALMOST_NOTHING))
    assert answer.code == 0, answer
    assert read_json(run_copy / "run.json")["data"] == str(other)
    assert read_json(folds)["inputs"]["train table"] != before


def test_a_folder_without_finished_steps_takes_any_recipe(cli: Any, tiny_recipe: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(tiny_recipe, run / "recipe.toml")
    answer = cli("tabular", "--run", run, *with_set(ALMOST_NOTHING))
    assert answer.code == 0, answer
    assert [member.name for member in load_recipe(str(run / "recipe.toml")).tabular.members] == ["x"]
