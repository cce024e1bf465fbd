"""Optuna, made repeatable and restartable: where a study lives, and how its trials are drawn.

Knows parameters and values, not learners; `tune` gives it something to maximise, `trial_claims` shares it among
workers.
"""

import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from data.errors import DataError
from data.secrets import shown_address, without_parts
from tabular.learners.search_space import SearchSpace, Value
from tabular.recipe import TuneRecipe
from tabular.tuning.journal import name_in, open_journal
from tabular.tuning.trial_claims import claims, requeue_dead

STORAGE_ERRORS = (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, ImportError, ValueError)
HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 120
"""A worker that has not been heard of for this long is dead, and its trial is another's."""
CREATE_ATTEMPTS = 5


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log and its warnings about the (long settled) experimental parts used here to itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def open_study(storage: Path | str, name: str, recipe: TuneRecipe) -> Study:
    """Open a study or begin it, ready to go on.

    A path is a journal file that this process alone works on: a trial left running there is dead, and a study is known
    by the end of its name, whatever its run was called before. A string is any storage URL of Optuna's, perhaps shared
    with other workers: there the dead are told by their missing heartbeat.
    """
    own = isinstance(storage, Path)
    try:
        kept: optuna.storages.BaseStorage
        if isinstance(storage, Path):
            kept = journal = open_journal(storage)
            name = name_in(journal, name)
        else:
            kept = _database(storage)
        study = optuna.create_study(
            study_name=name,
            storage=kept,
            load_if_exists=True,
            direction="maximize",
            sampler=RepeatableTPE(recipe),
            pruner=optuna.pruners.WilcoxonPruner(p_threshold=recipe.prune_p)
            if recipe.prune_p
            else optuna.pruners.NopPruner(),
        )
    except STORAGE_ERRORS as error:
        raise unusable(storage, error) from error
    if own:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
    else:
        optuna.storages.fail_stale_trials(study)
    # In one process a trial that is done again draws the same again, and from the start: a process may have died
    # between two draws, and the second is another from the middle of the trial's random stream than from its start.
    requeue_dead(study, keep_drawn=not own)
    return study


def prepare_database(url: str) -> None:
    """Make Optuna's tables at a storage URL: several workers that find none at the same moment would collide."""
    try:
        _database(url)
    except STORAGE_ERRORS as error:
        raise unusable(url, error) from error


def unusable(storage: Path | str, error: Exception) -> DataError:
    """What is wrong with a storage, as one message."""
    own = isinstance(storage, Path)
    said = without_parts(str(error).splitlines()[0], str(storage))
    remedy = "delete it to begin again" if own else "give one such as postgresql://user@host/name, with its driver"
    return DataError(f"the tuning storage {shown(storage)} cannot be opened: {said}; {remedy}")


def _database(url: str) -> optuna.storages.BaseStorage:
    """A database that workers share; of several that find it empty at once, one makes the tables."""
    for attempt in range(1, CREATE_ATTEMPTS + 1):
        try:
            return SharedStorage(
                url,
                # A trial takes minutes between two words to the server, which holds a hundred connections by default.
                engine_kwargs={"poolclass": NullPool},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            reason = f"{error} {error.__cause__}"
            if attempt == CREATE_ATTEMPTS or not ("already exists" in reason or "duplicate key" in reason):
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError


class SharedStorage(optuna.storages.RDBStorage):
    """A database in which no trial runs without a heartbeat, however early its worker is killed.

    Optuna itself records the first beat after the trial began and its parameters were drawn. A worker killed in between
    would leave a trial that runs for ever, because only a heartbeat can go stale.
    """

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Record the first beat before the trial runs."""
        if state is TrialState.RUNNING:
            self.record_heartbeat(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """Queue a new trial and take it from the queue, so that it too has its beat first."""
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        queued = super()._create_new_trial(study_id, optuna.trial.create_trial(state=TrialState.WAITING))
        if self.set_trial_state_values(queued._trial_id, TrialState.RUNNING):
            return self.get_trial(queued._trial_id)
        return self._create_new_trial(study_id)


def shown(storage: Path | str) -> str:
    """A storage as messages name it: without a password."""
    return str(storage) if isinstance(storage, Path) else shown_address(storage)


def suggest(trial: Trial, space: Mapping[str, SearchSpace]) -> dict[str, Value]:
    """Draw one value for every parameter."""
    return {name: _suggest(trial, name, values) for name, values in space.items()}


def _suggest(trial: Trial, name: str, values: SearchSpace) -> Value:
    if values.choices:
        return cast(Value, trial.suggest_categorical(name, values.choices))
    assert values.low is not None
    assert values.high is not None
    if values.whole:
        return trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(name, float(values.low), float(values.high), log=values.log)


def inside(space: Mapping[str, SearchSpace], start: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """The starting values as far as the space holds them, and a sentence on each that had to give way."""
    result: dict[str, Value] = {}
    notes = []
    for name, values in space.items():
        value = start.get(name)
        held = None if value is None else _nearest(values, value)
        if held is None:
            reason = "is not set by the recipe" if value is None else f"= {value} is not a choice of its space"
            notes.append(f"{name} {reason}, so the first trial draws one")
        else:
            result[name] = held
            if held != value:
                notes.append(f"{name} = {value} is outside its space, so the first trial has {held}")
    return result, notes


def _nearest(values: SearchSpace, value: Value) -> Value | None:
    if values.choices:
        return value if value in values.choices else None
    assert values.low is not None
    assert values.high is not None
    nearest = min(max(float(value), values.low), values.high)
    return round(nearest) if values.whole else nearest


class RepeatableTPE(BaseSampler):
    """Tree-structured Parzen estimator whose draws depend on the seed, the place of the trial and the trials before it.

    Optuna's own keeps one random stream per process, so a study that was interrupted would go on differently. Here each
    trial has its own stream. A retry of a trial that died with its process has the stream of that trial.
    """

    def __init__(self, recipe: TuneRecipe) -> None:
        self._recipe = recipe
        self._samplers: dict[int, TPESampler] = {}
        self._lock = threading.Lock()

    def _sampler(self, study: Study, trial: FrozenTrial) -> TPESampler:
        with self._lock:
            if trial.number not in self._samplers:
                earlier = study.get_trials(deepcopy=False)[: trial.number]
                place = [holder.number for holder in (*claims([*earlier, trial]), trial)].index(trial.number)
                self._samplers[trial.number] = TPESampler(
                    seed=int(np.random.SeedSequence(self._recipe.seed, spawn_key=(place,)).generate_state(1)[0]),
                    n_startup_trials=self._recipe.startup_trials,
                    multivariate=True,
                    constant_liar=self._recipe.jobs * self._recipe.workers > 1,
                )
            return self._samplers[trial.number]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Let the trial's own sampler say."""
        return self._sampler(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Let the trial's own sampler draw."""
        return self._sampler(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Let the trial's own sampler draw."""
        return self._sampler(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Forget the trial's sampler."""
        with self._lock:
            self._samplers.pop(trial.number, None)
