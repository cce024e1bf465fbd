"""Claims: who holds which trial, read off the list; withdrawn, orphaned and given-away trials."""

import threading
from itertools import pairwise

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from tabular.learners.search_space import SearchSpace
from tabular.recipe import TuneRecipe
from tabular.tuning import study as study_module
from tabular.tuning import trial_claims as module
from tabular.tuning.study import open_study, quiet, suggest
from tabular.tuning.trial_claims import (
    FAILURE,
    FROM_RECIPE,
    RETRY_OF,
    WITHDRAWN,
    WORKER,
    claims,
    claims_of,
    fill,
    finished,
)

RECIPE = TuneRecipe(startup_trials=3)
SPACE = {"rate": SearchSpace(low=0.01, high=1.0, log=True)}


def rate(trial):
    return float(suggest(trial, SPACE)["rate"])


def numbers(*made):
    """The holders of a list of (state, attributes)."""
    study = optuna.create_study()
    for state, attributes in made:
        value = 1.0 if state is TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, value=value, user_attrs=attributes))
    return [holder.number for holder in claims(study.trials)]


DONE, DEAD, WAITING = TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING


def test_a_retry_takes_the_claim_of_the_dead_and_of_nobody_else():
    assert numbers((DONE, {}), (DEAD, {}), (DONE, {})) == [0, 1, 2]
    assert numbers((DONE, {}), (DEAD, {}), (DONE, {}), (WAITING, {RETRY_OF: 1})) == [0, 3, 2]
    assert numbers((DEAD, {}), (DEAD, {RETRY_OF: 0}), (DONE, {RETRY_OF: 1})) == [2]


def test_what_two_workers_began_for_one_claim_counts_once():
    assert numbers((DEAD, {}), (DONE, {RETRY_OF: 0}), (WAITING, {RETRY_OF: 0})) == [1]
    assert numbers((DONE, {FROM_RECIPE: True}), (WAITING, {FROM_RECIPE: True}), (DONE, {})) == [0, 2]
    assert numbers((DONE, {}), (DEAD, {WITHDRAWN: True}), (DEAD, {FAILURE: "no"})) == [0, 2]


@given(st.lists(st.tuples(st.sampled_from([DONE, DEAD, WAITING]), st.none() | st.integers(0, 8)), max_size=9))
def test_later_trials_never_move_a_claim_to_another_place(made):
    states = [(s, {} if of is None or of >= n else {RETRY_OF: of}) for n, (s, of) in enumerate(made)]
    lengths = [len(numbers(*states[:count])) for count in range(len(states) + 1)]
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(lengths))
    assert lengths[-1] == sum(RETRY_OF not in attributes for _, attributes in states)


@pytest.mark.parametrize("jobs", [1, 3])
def test_exactly_as_many_as_asked(tmp_path, jobs):
    with quiet():
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        fill(study, rate, 7, jobs, lambda done: None)
        assert finished(study) == 7
        assert len([trial for trial in study.trials if trial.state is DONE]) == 7


def test_two_workers_do_exactly_as_many_as_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    url = f"sqlite:///{tmp_path / 's.db'}"
    with quiet():
        studies = [open_study(url, "s", RECIPE) for _ in range(2)]
        for study in studies:
            study.enqueue_trial({"rate": 0.5}, user_attrs={FROM_RECIPE: True})
        workers = [threading.Thread(target=fill, args=(one, rate, 8, 1, lambda done: None)) for one in studies]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        done = [trial for trial in studies[0].trials if trial.state is DONE]
    assert len(done) == 8
    assert sum(FROM_RECIPE in trial.user_attrs for trial in done) == 1
    assert all(trial.user_attrs[WORKER] for trial in done)


def test_a_worker_taken_for_dead_goes_on_and_its_trial_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    url = f"sqlite:///{tmp_path / 's.db'}"

    def stands_still(trial):
        if trial.number == 1:
            open_study(url, "s", RECIPE).tell(1, state=TrialState.FAIL)
        return rate(trial)

    with quiet():
        study = open_study(url, "s", RECIPE)
        fill(study, stands_still, 4, 1, lambda done: None)
        holders = claims_of(study)
    assert [trial.state for trial in holders] == [DONE] * 4
    assert [trial.user_attrs.get(RETRY_OF) for trial in holders].count(1) == 1
    assert len([trial for trial in study.trials if trial.state is DONE]) == 4


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_queued_trial_that_two_workers_began_counts_once(tmp_path, state):
    """SQLite has no locks on rows: two workers may both be given the same waiting trial."""
    url = f"sqlite:///{tmp_path / 's.db'}"

    def another_was_faster(trial):
        if trial.number == 1:
            open_study(url, "s", RECIPE).tell(1, values=0.25 if state is TrialState.COMPLETE else None, state=state)
        return rate(trial)

    with quiet():
        study = open_study(url, "s", RECIPE)
        fill(study, another_was_faster, 4, 1, lambda done: None)
        holders = claims_of(study)
    assert [trial.state for trial in holders] == [DONE, state, DONE, DONE]
    assert len(study.trials) == 4
    assert state is TrialState.PRUNED or holders[1].value == 0.25


def test_a_bug_of_the_objective_is_not_taken_for_a_lost_trial(tmp_path):
    def broken(trial):
        raise ValueError("a bug")

    with quiet(), pytest.raises(ValueError, match="a bug"):
        fill(open_study(tmp_path / "s.journal", "s", RECIPE), broken, 2, 1, lambda done: None)


def test_a_trial_runs_only_with_a_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "GRACE_SECONDS", 1)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    url = f"sqlite:///{tmp_path / 's.db'}"
    with quiet():
        with pytest.warns(UserWarning, match="Heartbeat"):
            open_study(url, "s", RECIPE).ask()
        survivor = open_study(url, "s", RECIPE)
        fill(survivor, rate, 1, 1, lambda done: None)
        assert [trial.user_attrs.get(RETRY_OF) for trial in claims_of(survivor)] == [0]
