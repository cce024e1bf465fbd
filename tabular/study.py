"""Optuna, made repeatable and restartable: where a study lives, how trials are drawn, what happens to dead ones.

Knows parameters and values, not boosters; `tune` gives it something to maximise.
"""

import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from data.errors import DataError
from tabular.parameters import Value
from tabular.recipe import Space, TuneRecipe

FAILURE = "failure"
"""User attribute of a trial whose parameters the booster refused: it counts, and is not tried again."""
RETRY_OF = "retry_of"
"""User attribute of a trial that takes the place of one whose process died."""
FROM_RECIPE = "from_recipe"
"""User attribute of the trial with the member's parameters as its recipe has them."""
HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 120


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

    A path is a journal file that this process alone works on: a trial left running there is dead. A string is any
    storage URL of Optuna's, perhaps shared with other workers: there the dead are told by their missing heartbeat.
    """
    own = isinstance(storage, Path)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=_journal(storage) if isinstance(storage, Path) else _database(storage),
            load_if_exists=True,
            direction="maximize",
            sampler=RepeatableTPE(recipe),
            pruner=optuna.pruners.WilcoxonPruner(p_threshold=recipe.prune_p)
            if recipe.prune_p
            else optuna.pruners.NopPruner(),
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, ImportError, ValueError) as error:
        remedy = "delete it to begin again" if own else "give one such as postgresql://user@host/name, with its driver"
        raise DataError(
            f"the tuning storage {storage} cannot be opened: {str(error).splitlines()[0]}; {remedy}"
        ) from error
    if own:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
    else:
        optuna.storages.fail_stale_trials(study)
    _requeue_dead(study)
    return study


def _journal(path: Path) -> optuna.storages.BaseStorage:
    """An append-only file: a tenth of the time of SQLite per trial, which matters when trials take a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Left behind by a process that was killed while writing: its lock, and half a line.
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def _database(url: str) -> optuna.storages.BaseStorage:
    return optuna.storages.RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS)


def _requeue_dead(study: Study) -> None:
    trials = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        if is_dead(trial) and trial.number not in replaced:
            wanted = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            study.enqueue_trial(wanted, user_attrs={**trial.user_attrs, RETRY_OF: trial.number})


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a trial ended with its process, not by itself."""
    return trial.state is TrialState.FAIL and FAILURE not in trial.user_attrs


def finished(study: Study) -> int:
    """Trials that count towards the number asked for."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return sum(not is_dead(trial) for trial in done)


def suggest(trial: Trial, space: Mapping[str, Space]) -> dict[str, Value]:
    """Draw one value for every parameter."""
    return {name: _suggest(trial, name, values) for name, values in space.items()}


def _suggest(trial: Trial, name: str, values: Space) -> Value:
    if values.choices:
        return cast(Value, trial.suggest_categorical(name, values.choices))
    assert values.low is not None
    assert values.high is not None
    if values.whole:
        return trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(name, float(values.low), float(values.high), log=values.log)


def inside(space: Mapping[str, Space], start: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
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


def _nearest(values: Space, value: Value) -> Value | None:
    if values.choices:
        return value if value in values.choices else None
    assert values.low is not None
    assert values.high is not None
    nearest = min(max(float(value), values.low), values.high)
    return round(nearest) if values.whole else nearest


class RepeatableTPE(BaseSampler):
    """Tree-structured Parzen estimator whose draws depend on the seed, the place of the trial and the trials before it.

    Optuna's own keeps one random stream per process, so a study that was interrupted would go on differently. Here each
    trial has its own stream. Trials that died with their process leave no gap in the count.
    """

    def __init__(self, recipe: TuneRecipe) -> None:
        self._recipe = recipe
        self._samplers: dict[int, TPESampler] = {}
        self._lock = threading.Lock()

    def _sampler(self, study: Study, trial: FrozenTrial) -> TPESampler:
        with self._lock:
            if trial.number not in self._samplers:
                earlier = study.get_trials(deepcopy=False)[: trial.number]
                place = trial.number - sum(is_dead(other) for other in earlier)
                self._samplers[trial.number] = TPESampler(
                    seed=int(np.random.SeedSequence(self._recipe.seed, spawn_key=(place,)).generate_state(1)[0]),
                    n_startup_trials=self._recipe.startup_trials,
                    multivariate=True,
                    constant_liar=self._recipe.jobs > 1,
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
