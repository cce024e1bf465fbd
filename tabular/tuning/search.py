"""Search a member's parameters with Optuna, then score the winner on folds that the search never saw.

The member as its recipe has it (Table 2) is always the first trial. A trial trains fold by fold and stops when a
signed-rank test over the blocks of the folds done says it will lose. The best score of many trials is optimistic,
however honest each one is; hence `reestimate`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import polars as pl
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from data.errors import TrainingError
from data.files import atomic, fingerprint, write_json
from data.progress import Progress, silent
from tabular.learners.search_space import SearchSpace, Value
from tabular.recipe import MemberRecipe, TabularRecipe
from tabular.training_data import derived
from tabular.tuning.binned_folds import BLOCKS, POSITIVES_PER_BLOCK, BinnedFold, FoldData
from tabular.tuning.study import inside, open_study, quiet, suggest
from tabular.tuning.trial_claims import FAILURE, FROM_RECIPE, claims_of, fill, finished, is_finished

SEARCH, REESTIMATE = 0, 1
"""Keys of the seeds of the two kinds of folds."""
FOLD_SCORES = "fold_scores"
"""User attribute: pAUC of every fold that a trial has done."""


@dataclass(frozen=True)
class Comparison:
    """PAUC per fold, on folds that the search did not see, of the member as tuned and as its recipe had it."""

    tuned: tuple[float, ...]
    as_in_recipe: tuple[float, ...]


@dataclass(frozen=True)
class TuneResult:
    """What a search found."""

    member: MemberRecipe
    """The member with the best parameters."""
    study_name: str
    best_parameters: Mapping[str, Value]
    best_value: float
    """Mean pAUC over the folds searched on: optimistic, because it is the best of many."""
    first_value: float | None
    """The same of the member as its recipe has it; None where its trial failed."""
    table: pl.DataFrame
    """One row per trial: number, state, mean pAUC, seconds, pAUC per fold, parameters."""
    importance: Mapping[str, float]
    """Share of the trials' differences that each parameter explains (fANOVA); empty with fewer than ten trials."""
    notes: tuple[str, ...]
    reestimate: Comparison | None = None

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write `trials.parquet` and `tuning.json`; returns their names."""
        with atomic(folder / "trials.parquet") as temporary:
            self.table.write_parquet(temporary)
        facts = {
            "study": self.study_name,
            "best_parameters": dict(self.best_parameters),
            "best_value": self.best_value,
            "first_value": self.first_value,
            "importance": dict(self.importance),
            "reestimate": None if self.reestimate is None else asdict(self.reestimate),
            "member": self.member.model_dump(mode="json"),
            "notes": list(self.notes),
        }
        write_json(folder / "tuning.json", facts)
        return "trials.parquet", "tuning.json"


def tune(
    member: MemberRecipe,
    recipe: TabularRecipe,
    folds: Iterable[FoldData],
    *,
    storage: Path | str,
    study_name: str,
    seed: int,
    other_folds: Iterable[FoldData] = (),
    threads: int = 1,
    progress: Progress = silent,
) -> TuneResult:
    """Run the trials that `recipe.tune` asks for and the study lacks; re-estimate on `other_folds` (of other seeds).

    `folds` and `other_folds` are consumed one by one, so a generator keeps a single encoded fold in memory. A path as
    `storage` is this process's own journal file; a string is any Optuna storage URL, where several workers may
    share a study. The study's name is completed by a checksum of the settings, so changed ones begin a new study.
    """
    plan, space = recipe.tune, recipe.tune.search_space_of(member)
    start, notes = inside(space, {**member.parameters, "iterations": member.iterations})
    threads_per_trial = max(1, threads // plan.jobs)
    binned, digest = bin_folds(member, recipe, folds, seed=seed, threads=threads_per_trial, searched=space)
    pairs = [plan.prune_p, BLOCKS, POSITIVES_PER_BLOCK]
    search: list[Any] = [plan.seed, plan.startup_trials, pairs, {key: one.model_dump() for key, one in space.items()}]
    search += [plan.rounds] if plan.rounds else []
    name = f"{study_name}-{fingerprint([digest, search])[:10]}"
    with quiet():
        study = open_study(storage, name, plan)
        study.enqueue_trial(start, user_attrs={FROM_RECIPE: True}, skip_if_exists=True)
        progress(finished(study), plan.trials)
        _run(study, member, binned, space, plan.trials, plan.jobs, plan.rounds, progress)
        best = _best(study, member)
        importance = _importance(study, plan.seed)
    parameters = {key: _plain(best.params[key]) for key in space}
    tuned = member.with_parameters(parameters)
    return TuneResult(
        member=tuned,
        study_name=name,
        best_parameters=parameters,
        best_value=float(best.values[0]),
        first_value=_first_value(study),
        table=trials_table(study, list(space), len(binned)),
        importance=importance,
        notes=tuple(notes),
        reestimate=reestimate(tuned, member, recipe, other_folds, seed=seed, threads=threads),
    )


def bin_folds(
    member: MemberRecipe,
    recipe: TabularRecipe,
    folds: Iterable[FoldData],
    *,
    seed: int,
    threads: int,
    searched: Iterable[str] = (),
) -> tuple[list[BinnedFold], str]:
    """Bin every fold for a member, and a checksum of what decides the scores (settings, columns, labels, patients)."""
    binned: list[BinnedFold] = []
    settings = [member.model_dump(mode="json"), recipe.resample.model_dump(mode="json"), recipe.image_noise, seed]
    facts: list[Any] = [settings]
    changing = tuple(searched)
    for number, fold in enumerate(folds):
        job_seed = derived(seed, SEARCH, number)
        binned.append(BinnedFold(member, recipe, fold, seed=job_seed, threads=threads, searched=changing))
        labels = [fold.train_target.tolist(), fold.held_out_target.tolist(), fold.train_groups.tolist()]
        facts.append([fold.train.names, fingerprint(labels)])
    return binned, fingerprint(facts)


def reestimate(
    tuned: MemberRecipe,
    original: MemberRecipe,
    recipe: TabularRecipe,
    folds: Iterable[FoldData],
    *,
    seed: int,
    threads: int = 1,
) -> Comparison | None:
    """Score the tuned and the original member on folds of seeds that the search did not use; None without folds."""
    pairs = []
    for number, fold in enumerate(folds):
        # One fold at a time: nothing is reused here, and the memory of all of them would be.
        searched = {*tuned.parameters, *original.parameters}
        job_seed = derived(seed, REESTIMATE, number)
        binned = BinnedFold(original, recipe, fold, seed=job_seed, threads=threads, searched=searched)
        pairs.append((binned.score(tuned), binned.score(original)))
    return Comparison(*(tuple(scores) for scores in zip(*pairs, strict=True))) if pairs else None


def _run(
    study: Study,
    member: MemberRecipe,
    folds: Sequence[BinnedFold],
    space: Mapping[str, SearchSpace],
    trials: int,
    jobs: int,
    rounds: int,
    progress: Progress,
) -> None:
    def objective(trial: Trial) -> float:
        candidate = shortened(member.with_parameters(suggest(trial, space)), rounds)
        scores: list[float] = []
        for number, fold in enumerate(folds):
            try:
                scored = fold.scored(candidate)
            except TrainingError as error:
                trial.set_user_attr(FAILURE, str(error))
                raise
            scores.append(scored.whole)
            trial.set_user_attr(FOLD_SCORES, list(scores))
            for block, value in enumerate(scored.blocks):
                trial.report(value, number * BLOCKS + block)
            progress(finished(study), trials, fold=number + 1, pauc=fmean(scores))
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return fmean(scores)

    fill(study, objective, trials, jobs, lambda done: progress(done, trials))


def shortened(member: MemberRecipe, rounds: int) -> MemberRecipe:
    """The member with so many rounds at most."""
    return member if not rounds else member.model_copy(update={"iterations": min(member.iterations, rounds)})


def _best(study: Study, member: MemberRecipe) -> FrozenTrial:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        reasons = [trial.user_attrs[FAILURE] for trial in study.trials if FAILURE in trial.user_attrs]
        raise TrainingError(
            f"no trial of member {member.name} came to an end: {reasons[0] if reasons else 'none was run'}; check "
            "tabular.tune.trials and the spaces"
        )
    return study.best_trial


def _importance(study: Study, seed: int) -> dict[str, float]:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 10 or len({trial.values[0] for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def trials_table(study: Study, parameters: Sequence[str], folds: int) -> pl.DataFrame:
    """Every trial that counts, in the order drawn."""
    rows: list[dict[str, Any]] = []
    for trial in filter(is_finished, claims_of(study)):
        row: dict[str, Any] = {"trial": len(rows), "state": trial.state.name.lower(), "pauc": _value(trial)}
        row["seconds"] = trial.duration.total_seconds() if trial.duration else None
        scores = trial.user_attrs.get(FOLD_SCORES, [])
        row |= {f"fold_{k}": scores[k] if k < len(scores) else None for k in range(folds)}
        row |= {name: trial.params.get(name) for name in parameters}
        row["failure"] = trial.user_attrs.get(FAILURE)
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _first_value(study: Study) -> float | None:
    return next((_value(trial) for trial in claims_of(study) if FROM_RECIPE in trial.user_attrs), None)


def _value(trial: FrozenTrial) -> float | None:
    return float(trial.values[0]) if trial.state is TrialState.COMPLETE and trial.values else None


def _plain(value: Any) -> Value:
    """A parameter as JSON has it."""
    plain: Value = json.loads(json.dumps(value))
    return plain
