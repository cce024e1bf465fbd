"""Stage two's boosters, beside the straightforward way in the same run: the ensemble over all folds, and tuning trials.

    python benchmarks/stage_two_boosters.py                      moderate size
    python benchmarks/stage_two_boosters.py --rows 401059        the size of ISIC 2024
    python benchmarks/stage_two_boosters.py --json figures.json  for programs

Ours: rows resampled as indices and gathered once from one float32 matrix, jobs side by side with one thread each,
models kept on disk; tuning as `tabular.tune` does it, with folds binned once, parallel trials and pruning by fold.
Straightforward: an imbalanced-learn Pipeline per estimator over a pandas frame as read_csv gives it (float64), and
`cross_val_score` per trial, the libraries using all threads. Same folds, same Table 2, same parameters per trial. Each
measurement runs in a process of its own, so that its peak memory is its own; making the table is not timed.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Results, alone
from data.matrix import Matrix
from data.scores.scores import pauc
from pipeline.memory import keep_freed_memory
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member
from tabular.learners.search_space import SearchSpace
from tabular.recipe import MemberRecipe, TabularRecipe, TuneRecipe
from tabular.training_data import derived
from tabular.tuning.binned_folds import FoldData
from tabular.tuning.search import tune
from tabular.tuning.study import RepeatableTPE, quiet, suggest

FULL_ROWS, FULL_POSITIVES, PATIENTS = 401_059, 393, 1_042
BOOSTERS: tuple[str, ...] = ("lightgbm", "xgboost", "catboost")


@dataclass(frozen=True)
class Size:
    """What to measure on."""

    rows: int
    features: int
    image_features: int
    folds: int
    trials: int
    threads: int


@dataclass(frozen=True)
class Cohort:
    """A synthetic stage-two table."""

    matrix: Matrix
    target: np.ndarray
    patient: np.ndarray
    fold: np.ndarray


def synthetic(size: Size) -> Cohort:
    """Numbers with a weak signal in some columns, as rare positives as in ISIC 2024, lesions spread over patients."""
    rng = np.random.default_rng(0)
    patient = np.sort(rng.integers(0, PATIENTS, size.rows))
    values = rng.standard_normal((size.rows, size.features), dtype=np.float32)
    signal = values[:, :10].sum(axis=1) + 3.0 * values[:, -1] + rng.standard_normal(size.rows, dtype=np.float32) * 3
    values[:, 10:20] = np.round(values[:, 10:20])
    positives = max(20, round(size.rows * FULL_POSITIVES / FULL_ROWS))
    target = (np.argsort(np.argsort(-signal)) < positives).astype(np.int64)
    names = tuple(f"feature_{i}" for i in range(size.features))
    image = tuple(range(size.features - size.image_features, size.features))
    matrix = Matrix(values, names, ("synthetic",) * size.features, (), image)
    return Cohort(matrix, target, patient, rng.permutation(PATIENTS)[patient] % size.folds)


def ensemble_ours(size: Size, at_once: int) -> dict[str, float]:
    """Four members on every fold, models written and read back, soft vote; jobs side by side share the threads."""
    keep_freed_memory()
    cohort, recipe = synthetic(size), TabularRecipe()
    threads = max(1, size.threads // at_once)
    started, worked = time.perf_counter(), time.process_time()
    columns = {member.name: np.full(size.rows, np.nan) for member in recipe.members}

    def job(member: MemberRecipe, fold: int, folder: Path) -> None:
        train, held_out = np.flatnonzero(cohort.fold != fold), np.flatnonzero(cohort.fold == fold)
        fit_member(
            member, recipe, cohort.matrix, cohort.target, cohort.patient, train,
            seed=derived(42, fold), folder=folder, threads=threads,
        )  # fmt: skip
        columns[member.name][held_out] = predict_member(member, folder, cohort.matrix, held_out, threads=threads)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        running = [
            pool.submit(job, on_cpu(member), fold, Path(folder) / member.name / str(fold))
            for fold in range(size.folds)
            for member in sorted(recipe.members, key=lambda member: -member.learner.cost)
        ]
        for done in running:
            done.result()
    blended = blend(columns, recipe.blend, target=cohort.target, folds=cohort.fold).out_of_fold
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    return {"seconds": seconds, "cpu": cpu, "pauc": pauc(cohort.target, blended)}


def ensemble_straightforward(size: Size) -> dict[str, float]:
    """The same with a Pipeline per estimator over a frame."""
    cohort, recipe = synthetic(size), TabularRecipe()
    frame = framed(cohort)
    without_image = list(cohort.matrix.without_image().names)
    started = time.perf_counter()
    votes = np.zeros(size.rows)
    for fold in range(size.folds):
        train, held_out = np.flatnonzero(cohort.fold != fold), np.flatnonzero(cohort.fold == fold)
        for member in recipe.members:
            columns = list(cohort.matrix.names) if member.image_columns else without_image
            model = pipeline(member, size.threads).fit(frame[columns].iloc[train], cohort.target[train])
            votes[held_out] += model.predict_proba(frame[columns].iloc[held_out])[:, 1] / len(recipe.members)
    return {"seconds": time.perf_counter() - started, "pauc": pauc(cohort.target, votes)}


def tuning_recipe(size: Size, booster: str) -> TabularRecipe:
    """Every trial in the sampler's random start, so that both ways draw the same parameters, of like cost."""
    space = {
        "learning_rate": SearchSpace(low=0.02, high=0.2, log=True),
        "scale_pos_weight": SearchSpace(low=1.0, high=5.0),
    }
    plan = TuneRecipe(trials=size.trials, startup_trials=size.trials + 1, jobs=size.threads, spaces={booster: space})
    return TabularRecipe(tune=plan)


def trials_ours(size: Size, booster: str) -> dict[str, float]:
    """`tabular.tune`; the time to bin the folds counts."""
    keep_freed_memory()
    cohort, recipe = synthetic(size), tuning_recipe(size, booster)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = tune(
            member_of(booster, recipe), recipe, fold_data(cohort, size),
            storage=Path(folder) / "study.journal", study_name=booster, seed=42, threads=size.threads,
        )  # fmt: skip
    seconds, pruned = time.perf_counter() - started, float((result.table["state"] == "pruned").sum())
    scored = result.table.select(f"fold_{fold}" for fold in range(size.folds)).count().sum_horizontal().item()
    return {"seconds": seconds, "pauc": result.best_value, "pruned": pruned, "trials": scored / size.folds}


def trials_straightforward(size: Size, booster: str) -> dict[str, float]:
    """`cross_val_score` of a Pipeline per trial."""
    import optuna
    from sklearn.model_selection import PredefinedSplit, cross_val_score

    cohort, recipe = synthetic(size), tuning_recipe(size, booster)
    frame, member, space = framed(cohort), member_of(booster, recipe), recipe.tune.spaces[booster]

    def objective(trial: Any) -> float:
        model = pipeline(member.with_parameters(suggest(trial, space)), size.threads)
        folds = PredefinedSplit(cohort.fold)
        return float(cross_val_score(model, frame, cohort.target, cv=folds, scoring=pauc_scorer).mean())

    started = time.perf_counter()
    with quiet():
        study = optuna.create_study(direction="maximize", sampler=RepeatableTPE(recipe.tune))
        study.enqueue_trial({name: member.parameters[name] for name in space})
        study.optimize(objective, n_trials=size.trials)
    return {"seconds": time.perf_counter() - started, "pauc": study.best_value, "trials": float(size.trials)}


def framed(cohort: Cohort) -> Any:
    """The table as pandas reads one from a CSV file."""
    import pandas as pd

    return pd.DataFrame(cohort.matrix.values.astype(np.float64), columns=list(cohort.matrix.names))


def pauc_scorer(model: Any, frame: Any, target: Any) -> float:
    """A scikit-learn scorer."""
    return pauc(target, model.predict_proba(frame)[:, 1])


def on_cpu(member: MemberRecipe) -> MemberRecipe:
    """The member, on the CPU whatever the machine has."""
    return member.model_copy(update={"device": "cpu"})


def member_of(booster: str, recipe: TabularRecipe) -> MemberRecipe:
    """The paper's member with image columns."""
    return on_cpu(next(member for member in recipe.members if member.name == booster))


def fold_data(cohort: Cohort, size: Size) -> Any:
    """Folds as the pipeline hands them over, one at a time."""
    for fold in range(size.folds):
        train, held_out = np.flatnonzero(cohort.fold != fold), np.flatnonzero(cohort.fold == fold)
        yield FoldData(
            train=cohort.matrix.take(train),
            train_target=cohort.target[train],
            train_groups=cohort.patient[train],
            held_out=cohort.matrix.take(held_out),
            held_out_target=cohort.target[held_out],
        )


def pipeline(member: MemberRecipe, threads: int) -> Any:
    """What one would write first."""
    from catboost import CatBoostClassifier
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import Pipeline
    from imblearn.under_sampling import RandomUnderSampler
    from lightgbm import LGBMClassifier
    from xgboost import XGBClassifier

    # The sample that LightGBM finds its bins on is given to both sides.
    common = {"n_estimators": member.iterations, **member.parameters}
    model = {
        "lightgbm": lambda: LGBMClassifier(**common, random_state=42, n_jobs=threads, verbosity=-1),
        "xgboost": lambda: XGBClassifier(**common, random_state=42, n_jobs=threads),
        "catboost": lambda: CatBoostClassifier(
            **common, random_seed=42, thread_count=threads, verbose=False, allow_writing_files=False
        ),
    }[member.booster]()
    over = RandomOverSampler(sampling_strategy=0.003, random_state=42)
    under = RandomUnderSampler(sampling_strategy=0.01, random_state=42)
    return Pipeline([("over", over), ("under", under), ("model", model)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000, help="lesions (ISIC 2024: 401059)")
    parser.add_argument("--features", type=int, default=120, help="columns, image columns included")
    parser.add_argument("--image-features", type=int, default=16)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=12, help="tuning trials per booster; 0 leaves tuning out")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    size = Size(given.rows, given.features, given.image_features, given.folds, given.trials, given.threads)
    print(f"{size.rows:,} lesions x {size.features} features, {size.folds} folds, {size.threads} threads")
    full, results = size.rows >= FULL_ROWS, Results()
    (ours, peak), (plain, other_peak) = alone(ensemble_ours, size, size.threads), alone(ensemble_straightforward, size)
    in_turn, _ = alone(ensemble_ours, size, 1)
    goal = "at least 2 x" + ", at most 180 s" * full
    results.add("four members, all folds", ours["seconds"], plain["seconds"], "s", goal)
    results.add("the same, members in turn with all threads", ours["seconds"], in_turn["seconds"], "s", "above 1 x")
    results.add("seconds of one core in that", ours["cpu"], in_turn["cpu"], "s")
    results.add("peak memory of that (with the table)", peak, other_peak, "GB", "at most 5 GB" * full)
    results.add("pAUC of that (to see that both did the work)", ours["pauc"], plain["pauc"], "", "equal within noise",
                rate=True)  # fmt: skip
    for booster in BOOSTERS if size.trials else ():
        (ours, _), (plain, _) = alone(trials_ours, size, booster), alone(trials_straightforward, size, booster)
        print(f"  best pAUC {ours['pauc']:.4f} and {plain['pauc']:.4f}; {ours['pruned']:.0f} trials pruned")
        for what, counts in (("trials", (size.trials, size.trials)), ("work done", (ours["trials"], plain["trials"]))):
            rates = [60 * count / one["seconds"] for count, one in zip(counts, (ours, plain), strict=True)]
            goal = "at least 3 x" if what == "trials" else "pruned ones by folds trained"
            results.add(f"tuning, {booster}, {what}", *rates, "trials/min", goal, rate=True)
    results.write(given.json, size=asdict(size))


if __name__ == "__main__":
    main()
