"""The plan: for every recipe each step once, after what it needs, in a place of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError, RecipeError
from pipeline.facts import InputFacts, finished_fold_count, recorded_facts
from pipeline.plan import VERBS, Plan, not_done, plan, settled
from pipeline.recipe import Recipe, load_recipe, parse_recipe, shipped_recipes
from pipeline.run import Run
from pipeline.steps.booster import booster_of
from tabular.recipe import MemberRecipe, TabularRecipe

NETWORK = {"backbone": "lesion_net", "pretrained": "none"}
TABLE_ALONE = {"backbone": "none", "pretrained": "none", "metadata": {"columns": ["age_approx"]}}
MEMBERS = (
    {"name": "light", "booster": "lightgbm"},
    {"name": "light_alone", "booster": "lightgbm", "image_columns": False, "seeds": [1, 2]},
    {"name": "cat", "booster": "catboost"},
    {"name": "extreme", "booster": "xgboost", "seeds": [5]},
)


@dataclass(frozen=True)
class Case:
    """A recipe, what its data are, and how many folds there are."""

    raw: dict[str, Any]
    test_table: bool
    test_images: bool
    folds: int

    @property
    def plan(self) -> Plan:
        """The steps."""
        recipe = parse_recipe(self.raw, "drawn")
        images, tests = recipe.sees_images, self.test_table
        facts = InputFacts("t", "i" if images else None, "u" if tests else None, "j" if self.test_images else None)
        return plan(Run.of(recipe, Path("/nowhere/run")), facts, self.folds)


@st.composite
def planned(draw: st.DrawFn) -> Case:
    """Any recipe: with and without networks, nested columns, a search, test lesions."""
    networks = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3))
    tests, folds = draw(st.sampled_from(["none", "table", "table and images"])), draw(st.integers(2, 5))
    scope = draw(st.sampled_from(["fold", "shared"])) if folds > 2 else "shared"
    raw = {
        "image_models": [{"name": name, **draw(st.sampled_from([NETWORK, TABLE_ALONE]))} for name in networks],
        "tabular": {
            "members": draw(st.lists(st.sampled_from(MEMBERS), min_size=1, unique_by=lambda member: member["name"])),
            "nested": draw(st.booleans()),
            "tune": {"trials": draw(st.sampled_from([0, 3])), "scope": scope},
        },
    }
    return Case(raw, tests != "none", tests == "table and images", folds)


@settings(max_examples=200, deadline=None)
@given(planned())
def test_every_step_comes_after_what_it_needs(case: Case):
    drawn = case.plan
    place = {step: number for number, step in enumerate(drawn)}
    for step in drawn:
        before = [need.step for need in step.needs if need.step is not None]
        before += [step.waits_for] if step.waits_for is not None else []
        for other in before:
            assert place[other] < place[step], f"{step.name} before {other.name}"


@settings(max_examples=200, deadline=None)
@given(planned())
def test_every_step_has_a_name_a_key_and_a_place_of_its_own(case: Case):
    drawn = case.plan
    for what in (
        [(step.kind, step.key) for step in drawn],
        [step.name for step in drawn],
        [step.report_path for step in drawn],
    ):
        assert len(set(what)) == len(what)
    for step in drawn:
        assert drawn[step.kind, *step.key] is step
        assert step.folder.is_relative_to(drawn.run.folder)


@settings(max_examples=200, deadline=None)
@given(planned())
def test_a_batch_needs_nothing_of_itself_but_what_is_followed_or_of_a_later_one(case: Case):
    drawn = case.plan
    done: set[Any] = set()
    for steps in drawn.batches("submission").values():
        begun: set[Any] = set()
        for step in steps:
            followed = {step.work.follows} & begun
            assert {need.step for need in step.needs if need.step is not None} <= done | followed
            begun.add(step)
        done |= begun
    assert done == set(drawn)


@settings(max_examples=100, deadline=None)
@given(planned())
def test_every_verb_does_the_work_of_those_before_it(case: Case):
    drawn = case.plan
    reach = [set(drawn.upto(verb)) for verb in VERBS]
    assert reach[0] <= reach[1] <= reach[2] == set(drawn)
    for steps in reach:
        for step in steps:
            assert {need.step for need in step.needs if need.step is not None} <= steps


@settings(max_examples=100, deadline=None)
@given(planned())
def test_what_there_is_of_each_kind(case: Case):
    drawn = case.plan
    recipe = drawn.run.recipe
    folds = case.folds
    networks, pairs = len(recipe.image_models), folds * (folds - 1) // 2 if recipe.tabular.nested else 0
    seeds = sum(len(member.seeds) for member in recipe.tabular.members)
    assert len(drawn.fold_models) == networks * folds
    assert len(drawn.of("fold model")) == networks * (folds + pairs)
    asked = case.test_table and (case.test_images or not recipe.sees_images)
    assert len(drawn.of("test lesions")) == (networks * folds if asked else 0)
    assert len(drawn.of("submission")) == case.test_table
    assert len(drawn.of("out-of-fold table")) == bool(networks)
    searches = folds if recipe.tabular.tune.scope == "fold" else 1
    assert len(drawn.of("tuning")) == (searches * len(recipe.tabular.members) if recipe.tabular.tune.trials else 0)
    assert len(drawn.of("encoder")) == folds
    assert len(drawn.of("booster")) == folds * seeds
    predicting = drawn.for_prediction
    assert {step.kind for step in predicting} <= {"fold model", "encoder", "booster", "blend", "calibration", "tuning"}
    assert [step for step in predicting if step.kind == "fold model"] == list(drawn.fold_models)


def test_a_step_that_there_is_not_is_named():
    drawn = plan(Run.of(load_recipe("demo"), Path("/nowhere/run")), InputFacts("t", "i", None, None), 3)
    with pytest.raises(DataError, match=r"run /nowhere/run has no step booster nobody 0"):
        _ = drawn["booster", "nobody", 0]


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_has_a_plan(name: str):
    drawn = plan(Run.of(load_recipe(name), Path("/nowhere/run")), InputFacts("t", "i", "u", "j"), 5)
    assert drawn.folds is drawn.steps[0]
    assert drawn.stage_two.folds == 5
    assert len(drawn.members) == len(drawn.run.recipe.tabular.members)


def test_boosters_of_a_member_that_is_searched_wait_for_the_search(tmp_path: Path):
    recipe = load_recipe("demo", ["tabular.tune.trials=3", 'tabular.tune.members=["lightgbm"]'])
    drawn = plan(Run.of(recipe, tmp_path), InputFacts("t", "i", "u", "j"), 3)
    searches = drawn.of("tuning")
    assert [step.key for step in searches] == [("lightgbm", 0), ("lightgbm", 1), ("lightgbm", 2)]
    for step in drawn.of("booster"):
        assert step.waits_for is (searches[int(step.key[1])] if step.key[0] == "lightgbm" else None)
    assert drawn["blend",].waits_for is searches[0]
    assert drawn["submission",].waits_for is searches[0]
    with pytest.raises(DataError, match="waits for tuning of lightgbm, fold 0"):
        _ = drawn["blend",].fingerprint


def test_two_folds_leave_nothing_to_search_on():
    searching = load_recipe("demo", ["tabular.tune.trials=3", "folds.count=2"])
    with pytest.raises(RecipeError, match=r"folds\.count = 3 at least"):
        plan(Run.of(searching, Path("/nowhere/run")), InputFacts("t", "i", "u", "j"), 2)


def test_each_fold_is_fitted_with_what_was_found_for_it():
    member = MemberRecipe(name="m", booster="lightgbm", by_fold=({"num_leaves": 5}, {"num_leaves": 9, "iterations": 3}))
    tabular = TabularRecipe(members=(member,))
    recipe = load_recipe("demo").model_copy(update={"tabular": tabular, "image_models": ()})
    drawn = plan(Run.of(recipe, Path("/nowhere/run")), InputFacts("t", None, None, None), 2)
    fitted = [booster_of(step).member for step in drawn.of("booster")]
    assert [(one.parameters["num_leaves"], one.iterations) for one in fitted] == [(5, member.iterations), (9, 3)]
    assert "by_fold" not in fitted[0].model_dump()
    assert MemberRecipe.model_validate_json(member.model_dump_json()) == member
    with pytest.raises(RecipeError, match="is for 2 folds, and there is a fold 2"):
        plan(Run.of(recipe, Path("/nowhere/run")), InputFacts("t", None, None, None), 3)


@pytest.fixture
def of_finished(finished_run: Path) -> Plan:
    """The plan of the finished run, from its records."""
    run = Run.open(finished_run)
    return plan(run, recorded_facts(run), finished_fold_count(run))


OF_NO_STEP = {"run.json", "recipe.toml", "metrics.json", ".lock"}
"""What the run is, what it scored, and who holds it."""


def test_every_file_of_a_finished_run_belongs_to_one_step(of_finished: Plan):
    owners: dict[Path, list[str]] = {}
    for step in of_finished:
        for path in step.files():
            owners.setdefault(path, []).append(step.name)
    there = {path for path in of_finished.run.folder.rglob("*") if path.is_file() and path.name not in OF_NO_STEP}
    assert set(owners) == there
    assert {path: names for path, names in owners.items() if len(names) > 1} == {}


def test_nothing_is_left_to_do_of_a_finished_run(of_finished: Plan):
    assert not_done(of_finished, every_byte=True) == {}


def test_what_needs_a_missing_step_is_not_done_either(run_copy: Path):
    (run_copy / "oof" / "wide" / "fold_1" / "report.json").unlink()
    run = Run.open(run_copy)
    missing = not_done(plan(run, recorded_facts(run), finished_fold_count(run)))
    names = {step.name: reason for step, reason in missing.items()}
    assert names["image model wide, fold 1"] == "not run yet"
    assert "image model wide, fold 1 has no report" in names["out-of-fold table"]
    assert set(names) == {"image model wide, fold 1", "image model wide, fold 1, test lesions", "out-of-fold table"}


def test_a_variant_of_a_searched_run_is_not_searched_again(of_finished: Plan):
    recipe = settled(of_finished)
    assert isinstance(recipe, Recipe)
    assert recipe.tabular.tune.trials == 0
    assert recipe.tabular.members == of_finished.members
