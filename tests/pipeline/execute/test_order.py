"""Jobs as orders: everything that travels, travels as JSON; a stand-in for a cluster carries the orders out here."""

import io
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from data.errors import DataError, RecipeError, TrainingError
from data.files import read_json
from pipeline.display import Display
from pipeline.execute.job import Job, perform
from pipeline.execute.order import Order, carry_out, order_for, result_of
from pipeline.execute.relay import RelayDisplay
from pipeline.execute.shared_store import SharedStore
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from tests.pipeline.execute.one_worker import OneWorker

pytestmark = pytest.mark.usefixtures("worker_of_its_own")


@pytest.fixture
def opened(tiny_recipe: Path, cohort_dir: Path, run_copy: Path) -> Callable[..., Inputs]:
    """The inputs of a copy of the finished run, with changes of its recipe."""

    def inputs(*changes: str, executor: Any = None, folder: Path = run_copy) -> Inputs:
        runtime = Runtime(
            display=Display(Console(file=io.StringIO(), width=200)),
            executor=executor or OneWorker(),
            cache_dir=cohort_dir.parent,
            weights_dir=run_copy.parent / "weights",
        )
        return Inputs(Run.of(load_recipe(str(tiny_recipe), changes), folder), runtime)

    return inputs


def files_of(folder: Path) -> dict[str, bytes]:
    kinds = ("*.parquet", "*.txt", "*.cbm", "*.ubj", "encoder.json", "blend.json", "models.json")
    found = {str(path.relative_to(folder)): path.read_bytes() for kind in kinds for path in folder.rglob(kind)}
    found.pop("tabular/test.parquet", None)  # the submission's
    return found


@pytest.mark.parametrize("kind", ["shared folder", "store"])
def test_stage_two_by_orders_is_stage_two_in_one_process(
    opened: Callable[..., Inputs], run_copy: Path, finished_run: Path, tmp_path: Path, kind: str
):
    shutil.rmtree(run_copy / "tabular")
    shutil.rmtree(run_copy / "features")
    worker = OneWorker(SharedStore(f"memory://{uuid.uuid4().hex}") if kind == "store" else None)
    inputs = opened(executor=worker)
    make(inputs, inputs.runtime, "tabular")
    assert files_of(run_copy) == files_of(finished_run)
    assert worker.counts["booster"] == 12
    assert worker.counts["encoder"] == 3
    assert (tmp_path / "scratch").exists() == (kind == "store")
    assert worker.counts["replicates_of"]
    scores = [read_json(run / "tabular" / "report.json")["scores"] for run in (run_copy, finished_run)]
    assert scores[0] == scores[1]


def test_a_job_needs_nothing_that_an_earlier_one_left_in_memory(
    opened: Callable[..., Inputs], run_copy: Path, finished_run: Path
):
    for fold in (0, 2):
        shutil.rmtree(run_copy / "tabular" / "xgboost" / f"fold_{fold}")
    shutil.rmtree(run_copy / "oof" / "narrow" / "fold_1")
    inputs = opened(executor=OneWorker(forgetful=True))
    make(inputs, inputs.runtime, "tabular")
    assert files_of(run_copy) == files_of(finished_run)


SEARCHING = ("image_models=[]", "tabular.tune.trials=4", "tabular.tune.workers=2")


def test_workers_search_one_study_together(opened: Callable[..., Inputs], tmp_path: Path):
    changes = (*SEARCHING, 'tabular.tune.members=["lightgbm"]')
    worker = OneWorker()
    inputs = opened(*changes, executor=worker, folder=tmp_path / "run")
    make(inputs, inputs.runtime, "tabular")
    assert list(worker.counts)[:2] == ["run_trials", "tuning"]
    assert (worker.counts["run_trials"], worker.counts["tuning"]) == (6, 3)
    folder = tmp_path / "run" / "tabular" / "lightgbm" / "tuning" / "fold_1"
    assert pl.read_parquet(folder / "trials.parquet").height == 4
    assert (folder / "study.db").is_file()
    again = opened(*changes, executor=OneWorker(), folder=tmp_path / "run")
    make(again, again.runtime, "tabular")
    assert not again.runtime.executor.done


def test_a_study_in_the_run_folder_is_not_for_workers_without_it(opened: Callable[..., Inputs], tmp_path: Path):
    worker = OneWorker(SharedStore(f"memory://{uuid.uuid4().hex}"))
    inputs = opened(*SEARCHING, executor=worker, folder=tmp_path / "run")
    with pytest.raises(RecipeError, match="give --storage"):
        make(inputs, inputs.runtime, "tabular")


def booster(inputs: Inputs, member: str = "lightgbm") -> Order:
    job = Job("pipeline.execute.steps:do_step", ("booster", member, 0, 42), f"member {member}, fold 0, seed 42")
    return order_for(inputs, inputs.runtime, job)


def test_a_folder_that_is_not_the_drivers_is_refused(opened: Callable[..., Inputs], run_copy: Path):
    sent = booster(opened())
    (run_copy / "folds.json").write_text("{}")
    with pytest.raises(DataError, match=r"does not see the run folder .*give a store"):
        result_of(carry_out(sent, Display()))


def test_the_users_mistakes_come_back_as_what_they_are(opened: Callable[..., Inputs]):
    inputs = opened("tabular.members[1].parameters.num_leaves=1")
    with pytest.raises(TrainingError, match="LightGBM refused to train"):
        result_of(carry_out(booster(inputs), Display()))


def test_a_wish_to_stop_that_comes_before_the_job_starts_it_not(opened: Callable[..., Inputs]):
    answer = carry_out(booster(opened()), RelayDisplay(lambda events: True, "0"))
    assert json.loads(answer) == {"stopped": True}


def test_a_step_that_the_run_does_not_have_is_named(opened: Callable[..., Inputs]):
    with pytest.raises(DataError, match=r"has no step booster no such member 0 42"):
        result_of(carry_out(booster(opened(), "no such member"), Display()))


def test_a_bug_is_not_taken_for_a_mistake(opened: Callable[..., Inputs]):
    sent = booster(opened())
    with pytest.raises(AttributeError):
        carry_out(replace(sent, job=replace(sent.job, function="pipeline.execute.steps:no_such_work")), Display())


@pytest.mark.parametrize("function", ["os:system", "pipeline.execute.steps", "data.files:write_text", "pipeline.x:A.b"])
def test_a_function_that_is_not_one_of_the_pipelines_is_never_called(opened: Callable[..., Inputs], function: str):
    inputs = opened()
    with pytest.raises(ValueError, match="is no function of a job"):
        perform(inputs, inputs.runtime, Job(function, ("true",), "a trick"))


def test_invented_lesions_stay_invented_wherever_the_work_is_done(opened: Callable[..., Inputs]):
    inputs = opened()
    real = replace(inputs.run, invented=False)
    assert [Order.from_json(booster(of).to_json()).invented for of in (inputs, inputs.of(real))] == [True, False]
