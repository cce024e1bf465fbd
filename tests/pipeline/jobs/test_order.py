"""Jobs as orders: everything that travels, travels as JSON; a stand-in for a cluster carries the orders out here."""

import io
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pipeline.steps.tabular import run_tabular
from pipeline.workspace import Workspace
from rich.console import Console

from data.errors import DataError, RecipeError, TrainingError
from data.files import read_json
from pipeline.display import Display
from pipeline.execute import order
from pipeline.execute.job import Done, Job
from pipeline.execute.order import Order, carry_out, folders_of, order_for, result_of, roots_of
from pipeline.execute.relay import Player, RelayDisplay
from pipeline.execute.shared_store import SharedStore
from pipeline.recipe import load_recipe
from pipeline.steps.tuning import run_tuning
from research.systems.registry import chosen_systems
from research.systems.run import Comparison, run_systems


class OneWorker:
    """A cluster of one worker, which is this process; it forgets everything after each job if it is to."""

    spreads = True

    def __init__(self, store: SharedStore | None = None, forgetful: bool = False) -> None:
        self.store, self.forgetful = store, forgetful
        self.store_url = None if store is None else store.url
        self.done: list[str] = []

    def gpus(self, space: Workspace) -> float:
        return 0.0

    def run(self, space: Workspace, jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        player = Player(space.display)
        for number, job in enumerate(jobs):
            if self.forgetful:
                order._kept.clear()
            sent = Order.from_json(order_for(space, job, self.store).to_json())
            assert sent.job == job
            facts = result_of(carry_out(sent, RelayDisplay(lambda events: bool(player.play(events)), str(number))))
            if self.store is not None:
                self.store.get(roots_of(folders_of(space)), facts["files"])
            self.done.append(job.work)
            yield Done(job, facts["answer"])

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A scratch folder of its own; jobs change the working folder, and a worker remembers."""
    monkeypatch.setenv("FUSIONNETX_SCRATCH", str(tmp_path / "scratch"))
    here = Path.cwd()
    monkeypatch.setattr(Workspace, "threads", 1)
    yield
    os.chdir(here)
    order._kept.clear()


@pytest.fixture
def make(tiny_recipe: Path, cohort_dir: Path, run_copy: Path) -> Callable[..., Workspace]:
    """The workspace of a copy of the finished run."""

    def workspace(*changes: str, executor: Any = None, run_dir: Path = run_copy) -> Workspace:
        return Workspace(
            recipe=load_recipe(str(tiny_recipe), changes),
            run_dir=run_dir,
            cache_dir=cohort_dir.parent,
            weights_dir=run_copy.parent / "weights",
            display=Display(Console(file=io.StringIO(), width=200)),
            executor=executor or OneWorker(),
        )

    return workspace


def files_of(folder: Path) -> dict[str, bytes]:
    kinds = ("*.parquet", "*.txt", "*.cbm", "*.ubj", "encoder.json", "blend.json", "models.json")
    found = {str(path.relative_to(folder)): path.read_bytes() for kind in kinds for path in folder.rglob(kind)}
    found.pop("tabular/test.parquet", None)  # the submission's
    return found


@pytest.mark.parametrize("kind", ["shared folder", "store"])
def test_stage_two_by_orders_is_stage_two_in_one_process(
    make: Callable[..., Workspace], run_copy: Path, finished_run: Path, tmp_path: Path, kind: str
):
    shutil.rmtree(run_copy / "tabular")
    shutil.rmtree(run_copy / "features")
    worker = OneWorker(SharedStore(f"memory://{uuid.uuid4().hex}") if kind == "store" else None)
    run_tabular(make(executor=worker))
    assert files_of(run_copy) == files_of(finished_run)
    assert worker.done.count("booster") == 12
    assert worker.done.count("encoder") == 3
    assert (tmp_path / "scratch").exists() == (kind == "store")
    assert "replicates" in worker.done
    scores = [read_json(run / "tabular" / "report.json")["scores"] for run in (run_copy, finished_run)]
    assert scores[0] == scores[1]


def test_a_job_needs_nothing_that_an_earlier_one_left_in_memory(
    make: Callable[..., Workspace], run_copy: Path, finished_run: Path
):
    for fold in (0, 2):
        shutil.rmtree(run_copy / "tabular" / "xgboost" / f"fold_{fold}")
    shutil.rmtree(run_copy / "oof" / "narrow" / "fold_1")
    from pipeline.steps.oof import run_oof

    space = make(executor=OneWorker(forgetful=True))
    run_oof(space)
    run_tabular(space)
    assert files_of(run_copy) == files_of(finished_run)


def test_workers_search_one_study_together(make: Callable[..., Workspace], tmp_path: Path):
    changes = (
        "image_models=[]",
        "tabular.tune.trials=4",
        "tabular.tune.workers=2",
        'tabular.tune.members=["lightgbm"]',
    )
    worker = OneWorker()
    run_tuning(make(*changes, executor=worker, run_dir=tmp_path / "run"))
    assert worker.done == ["trials", "trials", "search"]
    folder = tmp_path / "run" / "tabular" / "lightgbm" / "tuning"
    assert pl.read_parquet(folder / "trials.parquet").height == 4
    assert (folder / "study.db").is_file()
    again = OneWorker()
    run_tuning(make(*changes, executor=again, run_dir=tmp_path / "run"))
    assert not again.done


def test_a_study_in_the_run_folder_is_not_for_workers_without_it(make: Callable[..., Workspace], tmp_path: Path):
    worker = OneWorker(SharedStore(f"memory://{uuid.uuid4().hex}"))
    space = make("image_models=[]", "tabular.tune.trials=4", "tabular.tune.workers=2", executor=worker,
                 run_dir=tmp_path / "run")  # fmt: skip
    with pytest.raises(RecipeError, match="give --storage"):
        run_tuning(space)


def booster(space: Workspace) -> Order:
    return order_for(space, Job("booster", ("lightgbm", 0, 42), "member lightgbm, fold 0, seed 42"))


def test_a_folder_that_is_not_the_drivers_is_refused(make: Callable[..., Workspace], run_copy: Path):
    space = make()
    sent = booster(space)
    (run_copy / "folds.json").write_text("{}")
    with pytest.raises(DataError, match=r"does not see the run folder .*give a store"):
        result_of(carry_out(sent, Display()))


def test_the_users_mistakes_come_back_as_what_they_are(make: Callable[..., Workspace]):
    space = make("tabular.members[1].parameters.num_leaves=1")
    with pytest.raises(TrainingError, match="LightGBM refused to train"):
        result_of(carry_out(booster(space), Display()))


def test_a_wish_to_stop_that_comes_before_the_job_starts_it_not(make: Callable[..., Workspace]):
    answer = carry_out(booster(make()), RelayDisplay(lambda events: True, "0"))
    assert json.loads(answer) == {"stopped": True}


def test_a_bug_is_not_taken_for_a_mistake(make: Callable[..., Workspace]):
    sent = booster(make())
    with pytest.raises(StopIteration):
        carry_out(replace(sent, job=replace(sent.job, arguments=("no such member", 0, 42))), Display())


def test_a_comparison_of_systems_by_orders_is_one_in_one_process(tmp_path: Path):
    chosen = Comparison(chosen_systems("s5_clinical,s3_custom_cnn"), fast=True)
    small = ("data.twin.lesions=60", "data.twin.image_side=33", "resources.image_model_cpus=1")

    def compared(name: str, **changed: Any) -> list[dict[str, Any]]:
        space = Workspace(
            recipe=load_recipe("ham10000", small),
            run_dir=tmp_path / name,
            cache_dir=tmp_path / "cache",
            weights_dir=tmp_path / "weights",
            display=Display(Console(file=io.StringIO(), width=200)),
            **changed,
        )
        results: list[dict[str, Any]] = run_systems(space, chosen)["results"]
        assert [(r["system"], r["protocol"]) for r in results] == [
            (system.name, protocol) for system in chosen.systems for protocol in ("published", "sound")
        ]
        return [r["scores"] for r in results]

    worker = OneWorker(forgetful=True)
    assert compared("spread", executor=worker) == compared("here")
    assert worker.done == ["system", "system"]
