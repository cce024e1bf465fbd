"""How a run fares at an institution that it has never seen, beside one whose other patients it has learned from.

Known: the run's own folds, scored at each institution. Unseen: every institution with enough malignant lesions is held
out whole, networks and boosters trained anew without it. Both with and without the institution as an input.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data.cohort import Cohort
from data.errors import DataError
from data.folds import FoldRecipe
from data.folds_by import Division, divide
from data.predictions import known_rows
from features.arrange import used_columns
from pipeline.ablation.made import made_variant
from pipeline.ablation.rows import row_of, stage_columns
from pipeline.ablation.variants import with_features
from pipeline.evidence.scores import Floats, as_figures, drawn_scores, less, sample_figures
from pipeline.inputs import Inputs
from pipeline.plan import Plan, settled
from pipeline.recipe import Recipe
from pipeline.report.finished import SUBJECT
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES
from pipeline.runtime import Runtime
from pipeline.seeds import derive

WITH, WITHOUT = "with", "without"
"""Whether the models were told the institution."""
KINDS = ("known", "unseen")


def clinics_figures(inputs: Inputs, runtime: Runtime, plan: Plan, by: str) -> dict[str, Any]:
    """Train what is missing, and compare known with unseen at every institution and on their mean."""
    train, recipe = inputs.data.train, settled(plan)
    if by not in train.table.columns:
        raise DataError(f"--by {by}: the training table has no such column")
    division = divide(train, by, MIN_POSITIVES)
    columns = clinic_columns(inputs, runtime, recipe, by)
    metrics = tuple(dict.fromkeys((train.task.score, "auc")))
    rows, means = [], dict[str, list[Any]]()
    with runtime.display.task(f"intervals over {train.task.words['groups']}") as progress:
        for fold, name in enumerate(division.names):
            found = at_one_clinic(train, division, fold, columns, metrics, derive(recipe.seed, "clinic", name))
            for key, drawn in found.pop("drawn").items():
                means.setdefault(key, []).append(drawn)
            rows.append({"name": name, **found})
            progress(fold + 1, len(division.names))
    return {
        "by": by,
        "metrics": list(metrics),
        "positive": "malignant" if len(train.task.classes) == 2 else f"not {train.task.classes[0]}",
        "min_positives": MIN_POSITIVES,
        "min_patients": MIN_PATIENTS,
        "told": list(columns),
        "in_networks": [model.name for model in recipe.image_models if by in model.metadata.columns],
        "clinics": rows,
        "mean": {told: {metric: mean_of(means, told, metric) for metric in metrics} for told in columns},
    }


def clinic_columns(inputs: Inputs, runtime: Runtime, recipe: Recipe, by: str) -> dict[str, dict[str, Floats]]:
    """Out-of-fold columns, known and unseen, without the institution as an input and (where it is one) with it."""
    # Parameters found on the run's folds have seen the lesions of these: the search is made anew.
    unseen = {
        "folds": FoldRecipe(by=by, least_positives=MIN_POSITIVES, seed=recipe.folds.seed),
        "tabular": inputs.run.recipe.tabular,
    }

    def column(recipe: Recipe, name: str) -> Floats:
        place, title = Path("evidence") / name.replace(" ", "_"), f"{by}, {name}"
        made = made_variant(inputs, runtime, recipe, place, title, "tabular", trains_images=True)
        return row_of(made.inputs, name, title).out_of_fold

    is_input = by in used_columns(inputs.data.train, recipe.features)
    told = WITH if is_input or any(by in model.metadata.columns for model in recipe.image_models) else WITHOUT
    found = {
        told: {
            "known": stage_columns(inputs, "tabular").alone("", "", SUBJECT).out_of_fold,
            "unseen": column(recipe.model_copy(update=unseen), f"unseen {told}"),
        }
    }
    if is_input:
        blind = with_features(recipe, unused_columns=(*recipe.features.unused_columns, by))
        found[WITHOUT] = {
            "known": column(blind, f"known {WITHOUT}"),
            "unseen": column(blind.model_copy(update=unseen), f"unseen {WITHOUT}"),
        }
    return found


def at_one_clinic(
    train: Cohort,
    division: Division,
    fold: int,
    columns: dict[str, dict[str, Floats]],
    metrics: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """Scores at one institution, how much unseen falls short of known, and what there was to learn from."""
    every = [one for told in columns.values() for one in told.values()]
    rows = known_rows(*every)
    rows = rows[division.fold[rows] == fold]
    elsewhere = division.fold != fold
    target, groups = train.target[rows], train.groups[rows]
    with_positive = len(np.unique(groups[target > 0]))
    enough = (target > 0).sum() >= MIN_POSITIVES and with_positive >= MIN_PATIENTS and (target == 0).any()
    told: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for name, kinds in columns.items() if enough else ():
        scored = {kind: drawn_scores(target, kinds[kind][rows], groups, metrics, seed) for kind in KINDS}
        told[name] = {}
        for metric in metrics:
            known, unseen = (scored[kind].get(metric) for kind in KINDS)
            fall = less(known, unseen)
            told[name][metric] = {
                "known": as_figures(known),
                "unseen": as_figures(unseen),
                "fall": as_figures(fall),
            }
            if fall is not None:
                drawn[f"{name} {metric}"] = fall
    return {
        "values": list(division.values[fold]),
        **sample_figures(target, groups),
        "patients_with_positives": with_positive,
        "learned_from": sample_figures(train.target[elsewhere], train.groups[elsewhere]),
        "too_few": not enough,
        "told": told or None,
        "drawn": drawn,
    }


def mean_of(means: dict[str, list[Any]], told: str, metric: str) -> dict[str, Any] | None:
    """The mean over institutions of known less unseen, each counting the same, and what it says."""
    found = means.get(f"{told} {metric}", [])
    if not found:
        return None
    average: Callable[[list[Any]], Any] = lambda values: np.mean(np.stack(values), axis=0)  # noqa: E731
    fall = as_figures((float(np.mean([one for one, _ in found])), average([drawn for _, drawn in found])))
    if fall is None:
        return None
    worse = "worse" if fall["low"] > 0 else "better" if fall["high"] < 0 else "no different"
    return {"fall": fall, "clinics": len(found), "unseen_is": worse}
