"""Which job begins when: those that take long first, and none before the one that it comes after."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.display import Display
from pipeline.execute.job import Job, free_to_begin
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.make import expected_work, longest_first
from pipeline.plan import plan_of
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.step import Step

Stage = Callable[..., tuple[list[Step], Inputs]]


@pytest.fixture
def stage_one(tiny_recipe: Path, cohort_dir: Path, tmp_path: Path) -> Stage:
    """The steps of stage one of the tiny recipe, changed, in the order of the plan."""

    def make(*changes: str) -> tuple[list[Step], Inputs]:
        runtime = Runtime(Display(Console(file=io.StringIO())), LocalExecutor(), tmp_path, tmp_path)
        inputs = Inputs(Run.of(load_recipe(str(tiny_recipe), changes), tmp_path / "run", cohort_dir), runtime)
        return list(plan_of(inputs).batches("oof")["stage one"]), inputs

    return make


def kinds_and_models(steps: list[Step]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((step.kind, str(step.key[0])) for step in steps))


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ((), "narrow"),  # equal work, the plan's order
        (("image_models[wide].epochs=2",), "wide"),
        (("image_models[wide].image_size=48",), "wide"),
        (("image_models[*].epochs=20", "image_models[narrow].frozen=true"), "wide"),
    ],
)
def test_the_longer_training_begins_first_and_test_lesions_come_last(
    stage_one: Stage, changes: tuple[str, ...], first: str
):
    planned, inputs = stage_one(*changes)
    assert kinds_and_models(planned)[0] == ("fold model", "narrow")
    ordered = longest_first(planned, inputs)
    assert sorted(map(id, ordered)) == sorted(map(id, planned))
    assert kinds_and_models(ordered)[0] == ("fold model", first)
    assert [kind for kind, _ in kinds_and_models(ordered)] == ["fold model"] * 2 + ["test lesions"] * 2


def test_the_estimate_counts_epochs_and_what_is_predicted(stage_one: Stage):
    (once, *_), inputs = stage_one()
    (thrice, *_), inputs_3 = stage_one("image_models[narrow].epochs=3")
    one, three = expected_work(once, inputs), expected_work(thrice, inputs_3)
    # The same fold is predicted once whatever the epochs: one = t + p and three = 3 t + p.
    training = (three - one) / 2
    assert 0 < one - training < training


def test_a_job_waits_for_the_one_that_it_comes_after():
    fold_0, fold_1 = Job("a:b", (0,), "fold 0"), Job("a:b", (1,), "fold 1")
    test_0, test_1 = Job("a:b", (2,), "test 0", after="fold 0"), Job("a:b", (3,), "test 1", after="fold 1")
    done_before = Job("a:b", (4,), "test 9", after="fold 9")
    assert free_to_begin([fold_0, fold_1, test_0, test_1, done_before], []) == [fold_0, fold_1, done_before]
    assert free_to_begin([test_0, test_1], [fold_1]) == [test_0]
    assert free_to_begin([test_0, test_1], []) == [test_0, test_1]
