"""`fusionnetx repeat`: cross-validate a run again on other folds and with other training seeds, and sum it up.

A repeat is a run like any other, in a folder of its own under `repeats/` in the folder of the run, with its recipe but
for the seeds; so it goes on where it stopped, and executors know nothing of repeats. The run itself is the first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from data.errors import FusionNetXError, RecipeError
from data.files import write_json
from data.predictions import known_rows
from data.scores.repeated import CorrectedTest, corrected_test, fold_differences, in_words
from data.scores.scores import SCORES, score_of
from pipeline.ablation.made import made_variant
from pipeline.ablation.rows import columns_of, rows_of_blends
from pipeline.columns import stacked
from pipeline.display import Display
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import plan_of
from pipeline.recipe import Recipe
from pipeline.report.ablation import state_of
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.step_reports import read_step_report
from pipeline.tables import grid
from pipeline.too_long import refuse_years

FOLDER, FILE = "repeats", "repeats.json"
STAGES = ("oof", "tabular")


@dataclass(frozen=True)
class Repeat:
    """One cross-validation."""

    split: int
    """Which division of the patients; 0: the run's own."""
    seed: int
    """Which training seed; 0: the run's own."""
    inputs: Inputs

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Out-of-fold columns of image models and members, the blend, and what other blends would have said."""
        folder, ids = self.inputs.run.folder, self.inputs.data.train.ids
        paths = [folder / stage / "oof.parquet" for stage in STAGES]
        found = [columns_of(path, ids) for path in paths if path.is_file()]
        names = dict.fromkeys(name.partition(":")[0] for columns in found for name in columns)
        every = {name: column for columns in found for name, column in columns.items()}
        own = {name: stacked(every, name) for name in names}
        return own | {row.name: row.out_of_fold for row in rows_of_blends(self.inputs)}


def run_repeats(inputs: Inputs, runtime: Runtime, splits: int | None, seeds: int | None) -> None:
    """Make what is missing, write repeats.json, print it."""
    folds = inputs.run.recipe.folds
    if folds.by is not None and (splits or folds.repeats) > 1:
        raise RecipeError(f"folds.by = {folds.by!r} gives one division; repeat with --splits 1 and --seeds alone")
    counts = splits or folds.repeats, seeds or folds.training_seeds
    why = f", or --splits (now {counts[0]:,}) and --seeds (now {counts[1]:,})"
    refuse_years(plan_of(inputs).upto("tabular"), inputs, runtime, math.prod(counts), why)
    make(inputs, runtime, "tabular")
    places = product(range(counts[0]), range(counts[1]))
    repeats = [Repeat(*place, made(inputs, runtime, *place) if any(place) else inputs) for place in places]
    figures = study_figures(inputs, repeats)
    write_json(inputs.run.folder / FILE, figures)
    print_study(runtime.display, figures)
    runtime.display.say(f"wrote {inputs.run.folder / FILE}")


def made(inputs: Inputs, runtime: Runtime, split: int, seed: int) -> Inputs:
    """The inputs of a repeat, with both stages done."""
    recipe = reseeded(inputs.run.recipe, split, seed, inputs.folds.count)
    place, title = Path(FOLDER) / f"split_{split}_seed_{seed}", f"split {split}, seed {seed}"
    return made_variant(inputs, runtime, recipe, place, title, "tabular", trains_images=True).inputs


def reseeded(recipe: Recipe, split: int, seed: int, count: int) -> Recipe:
    """The recipe with other folds (as many, made here) and another training seed."""
    changes: dict[str, Any] = {"repeats": 1, "training_seeds": 1}
    if split:
        changes |= {"seed": derive(recipe.folds.seed, "repeat", split), "file": None, "count": count}
    return recipe.model_copy(
        update={
            "folds": recipe.folds.model_copy(update=changes),
            "seed": derive(recipe.seed, "repeat", seed) if seed else recipe.seed,
        }
    )


def finished_repeats(inputs: Inputs) -> list[Repeat]:
    """The run and those of its repeats that have both stages behind them."""
    found = [Repeat(0, 0, inputs)]
    for path in sorted((inputs.run.folder / FOLDER).glob("split_*_seed_*")):
        _, split, _, seed = path.name.split("_")
        if split.isdigit() and seed.isdigit() and read_step_report(path / "tabular" / "report.json"):
            run = Run.open(path)
            found.append(Repeat(int(split), int(seed), inputs.of(run.derive(data_dir=inputs.run.data_dir))))
    return found


def study_figures(inputs: Inputs, repeats: Sequence[Repeat]) -> dict[str, Any]:
    """Scores of every column, their spread, and how far the blend is ahead of each."""
    train = inputs.data.train
    columns = [repeat.columns for repeat in repeats]
    score = train.task.score
    pooled = {
        name: {
            (repeat.split, repeat.seed): known_score(score, train.target, own[name], train.groups)
            for repeat, own in zip(repeats, columns, strict=True)
        }
        for name in columns[0]
    }
    return {
        "of": state_of(inputs.run),
        "score": score,
        "words": train.task.words,
        "synthetic": inputs.run.invented,
        "optimistic": inputs.run.recipe.tabular.optimistic,
        "folds": inputs.folds.count,
        "splits": len({repeat.split for repeat in repeats}),
        "training_seeds": len({repeat.seed for repeat in repeats}),
        "columns": {
            name: {
                **spread_of(scores),
                "scores": [{"split": s, "seed": t, "score": value} for (s, t), value in scores.items()],
                "blend_ahead": as_json(gain(repeats, repeats, "blend", name)) if name != "blend" else None,
            }
            for name, scores in pooled.items()
        },
    }


def known_score(score: str, target: Any, column: Any, groups: Any) -> float:
    """The score of a column on the lesions that have a value."""
    known = known_rows(column)
    return float(score_of(score, target[known], column[known], groups[known]))


def spread_of(scores: dict[tuple[int, int], float]) -> dict[str, float | None]:
    """Mean, standard deviation between splits (of their means over seeds) and between seeds (within splits)."""
    by_split: dict[int, list[float]] = {}
    for (split, _), value in scores.items():
        by_split.setdefault(split, []).append(value)
    means = [fmean(values) for values in by_split.values()]
    within = [stdev(values) ** 2 for values in by_split.values() if len(values) > 1]
    return {
        "mean": fmean(scores.values()),
        "between_splits": stdev(means) if len(means) > 1 else None,
        "between_seeds": fmean(within) ** 0.5 if within else None,
    }


def gain(ours: Sequence[Repeat], theirs: Sequence[Repeat], column: str, other: str) -> CorrectedTest | None:
    """How far a column is ahead of another over the repeats that both have on the same folds; seeds are averaged."""
    by_fold: dict[int, list[list[float]]] = {}
    partners = {(one.split, one.seed): one for one in theirs}
    folds = 0
    for one in ours:
        partner = partners.get((one.split, one.seed))
        if partner is None or not same_folds(one.inputs, partner.inputs):
            continue
        train, fold = one.inputs.data.train, one.inputs.folds.fold
        a, b = one.columns.get(column), partner.columns.get(other)
        if a is None or b is None or a.shape != b.shape:
            return None
        folds = one.inputs.folds.count
        differences = list(paired(train.task.score, train, fold, a, b))
        by_fold.setdefault(one.split, []).append(differences)
    means = [values for seeds in by_fold.values() if len({*map(len, seeds)}) == 1 for values in np.mean(seeds, axis=0)]
    return corrected_test(means, folds)


def paired(score: str, train: Any, fold: Any, a: Any, b: Any) -> Iterator[float]:
    """Differences by fold, on lesions that both columns know."""
    known = known_rows(a, b)
    return fold_differences(score, train.target[known], train.groups[known], fold[known], a[known], b[known])


def same_folds(a: Inputs, b: Inputs) -> bool:
    """Whether two runs divide the same lesions in the same way."""
    try:
        return np.array_equal(a.data.train.ids, b.data.train.ids) and np.array_equal(a.folds.fold, b.folds.fold)
    except FusionNetXError:
        return False


def as_json(test: CorrectedTest | None) -> dict[str, Any] | None:
    """For JSON."""
    return None if test is None else test.to_json()


def print_study(display: Display, figures: dict[str, Any]) -> None:
    """The table."""
    divisions = f"{figures['splits']} divisions of the {figures['words']['groups']}"
    table = grid(
        f"{SCORES[figures['score']].title}, {divisions} into {figures['folds']} folds x "
        f"{figures['training_seeds']} training seeds\n"
        "the gain of the blend is tested with the correction for overlapping training sets (Nadeau and Bengio)",
        "column",
        figures=("mean", "sd, splits", "sd, seeds", "blend ahead", "95 %", "more than the spread?"),
    )
    for name, one in figures["columns"].items():
        test = one["blend_ahead"]
        spreads = ["" if one[key] is None else f"{one[key]:.4f}" for key in ("between_splits", "between_seeds")]
        lead = ["", ""] if test is None else [f"{test['mean']:+.4f}", f"{test['low']:+.4f} to {test['high']:+.4f}"]
        table.add_row(name, f"{one['mean']:.4f}", *spreads, *lead, in_words(test))
    display.table(table, spare=("sd, seeds", "sd, splits"))
    if figures["optimistic"]:
        display.say(f"these figures are {figures['optimistic']}")
