"""Studies in a real PostgreSQL, which the tests start and stop: shared, orphaned, interrupted."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from data.errors import DataError
from tabular.learners.search_space import SearchSpace
from tabular.recipe import TuneRecipe
from tabular.tuning import study, trial_claims
from tabular.tuning.search import bin_folds
from tabular.tuning.study import open_study, quiet, suggest
from tabular.tuning.trial_claims import RETRY_OF, WORKER, claims_of, fill, is_dead

pytestmark = pytest.mark.postgres
psycopg = pytest.importorskip("psycopg", reason="needs the extra [cluster]")
WORKER_FILE = Path(__file__).with_name("tuning_worker.py")
ROOT = Path(__file__).parents[2]
RECIPE = TuneRecipe(startup_trials=3)
SPACE = {"rate": SearchSpace(low=0.01, high=1.0, log=True)}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "GRACE_SECONDS", 1)
    monkeypatch.setattr(trial_claims, "LOOK_SECONDS", 0.1)


def wait_for(condition: Callable[[], bool], processes: list["subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert any(process.poll() is None for process in processes), "all workers ended"
        assert time.monotonic() < deadline, "waited two minutes"
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_share_a_study_and_one_is_killed(server: Any) -> None:
    url, wanted = server.new_database("shared"), 7
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER_FILE), url, str(wanted)]
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]

    def trials_of(process: "subprocess.Popen[bytes]") -> list[optuna.trial.FrozenTrial]:
        end = f":{process.pid}"
        return [trial for trial in shared.get_trials() if trial.user_attrs.get(WORKER, "").endswith(end)]

    def began() -> bool:
        with psycopg.connect(url.replace("+psycopg", "")) as link:
            row = link.execute("SELECT to_regclass('trials')").fetchone()
            return bool(row[0]) and bool(link.execute("SELECT 1 FROM trials LIMIT 1").fetchone())

    def victim_is_within_a_trial() -> bool:
        own = trials_of(workers[1])
        return len(own) > 1 and own[-1].state is TrialState.RUNNING and bool(own[-1].intermediate_values)

    try:
        wait_for(began, workers)
        with quiet():
            shared = server.study(url)
        wait_for(lambda: victim_is_within_a_trial() and bool(trials_of(workers[0])), workers)
        workers[1].kill()
        workers[1].wait()
        (orphan,) = (trial for trial in trials_of(workers[1]) if trial.state is TrialState.RUNNING)
        assert workers[0].wait(timeout=120) == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    with quiet():
        assert is_dead(shared.trials[orphan.number])
        (retry,) = (trial for trial in shared.trials if trial.user_attrs.get(RETRY_OF) == orphan.number)
        assert retry.params == orphan.params, "the orphan was not tried again as it was"
        assert retry.state is TrialState.COMPLETE
        done = [trial for trial in shared.trials if trial.state is TrialState.COMPLETE]
        assert len(done) == wanted
        assert sorted(t.number for t in claims_of(shared)) == sorted(t.number for t in done)
        assert len({tuple(sorted(trial.params.items())) for trial in done}) == wanted, "a trial was done twice"
        assert {trial.user_attrs[WORKER].split(":")[1] for trial in done} == {str(w.pid) for w in workers}
        alone_is_the_same(done)


def alone_is_the_same(done: list[optuna.trial.FrozenTrial]) -> None:
    specification = importlib.util.spec_from_file_location("tuning_worker", WORKER_FILE)
    assert specification is not None
    assert specification.loader is not None
    worker = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(worker)
    binned, _ = bin_folds(
        worker.MEMBER, worker.recipe_of(1), worker.folds(), seed=worker.SEED, threads=1, searched=worker.SPACE
    )
    for trial in done:
        candidate = worker.MEMBER.with_parameters(trial.params)
        assert trial.values == [fmean(fold.score(candidate) for fold in binned)]


def test_several_workers_may_find_the_database_empty(server: Any) -> None:
    for attempt in range(3):
        url = server.new_database(f"empty_{attempt}")
        with quiet(), ThreadPoolExecutor(6) as pool:
            studies = list(pool.map(lambda _, url=url: open_study(url, "s", RECIPE), range(6)))
            studies[0].enqueue_trial({"rate": 0.5})
            assert [len(one.trials) for one in studies] == [1] * 6


@pytest.mark.usefixtures("quick")
def test_a_worker_killed_before_its_trial_drew_anything_is_replaced(server: Any) -> None:
    url = server.new_database("early")
    with quiet():
        with pytest.warns(UserWarning, match="Heartbeat"):
            open_study(url, "s", RECIPE).ask()
        survivor = open_study(url, "s", RECIPE)
        fill(survivor, lambda trial: float(suggest(trial, SPACE)["rate"]), 3, 1, lambda done: None)
    assert [trial.state for trial in survivor.trials].count(TrialState.COMPLETE) == 3
    assert is_dead(survivor.trials[0])
    assert [trial.user_attrs.get(RETRY_OF) for trial in survivor.trials if RETRY_OF in trial.user_attrs] == [0]


@pytest.mark.usefixtures("quick")
def test_a_server_that_goes_away_is_one_message_and_the_study_goes_on(server: Any) -> None:
    url = server.new_database("outage")

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1 and not outages:
            outages.append(trial.number)
            server.stop()
        return float(suggest(trial, SPACE)["rate"])

    outages: list[int] = []
    with quiet():
        first = open_study(url, "s", RECIPE)
        with pytest.raises(DataError, match=r"storage stopped answering .* start the same command again") as caught:
            fill(first, objective, 4, 1, lambda done: None)
        server.start()
        assert "\n" not in str(caught.value)
        again = open_study(url, "s", RECIPE)
        fill(again, objective, 4, 1, lambda done: None)
        assert [trial.state for trial in claims_of(again)] == [TrialState.COMPLETE] * 4
