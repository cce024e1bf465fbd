"""The ten variants once more on labels dealt to other patients: every cell must say what chance says."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from features.arrange import used_columns
from pipeline.ablation.made import VariantDisplay, made_variant
from pipeline.ablation.rows import row_of
from pipeline.audit.deal import deal
from pipeline.audit.null_test import Outcome, judged
from pipeline.audit.variants import UNEVEN, fast_image_model, fast_member, relabelled_by, without_test
from pipeline.evidence.scores import metrics_of
from pipeline.evidence.variants import FULL, VARIANTS, title_of, with_inputs
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import Plan, settled
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.seeds import derive

ALARM, DEALS = 0.01, 999
"""How often nothing at all raises an alarm anywhere in the table."""


def shuffled_figures(inputs: Inputs, runtime: Runtime, plan: Plan) -> dict[str, Any]:
    """Train every variant on dealt labels, small (few epochs, few trees), and judge each cell by other deals."""
    data = without_test(inputs.data)
    seed = derive(inputs.run.recipe.seed, "shuffled evidence")
    giver = deal(data.train.groups, np.random.default_rng(seed))
    run = inputs.run.derive(recipe=small(settled(plan)), folder=inputs.run.folder / "evidence" / "shuffled")
    shown = runtime.shown_on(VariantDisplay(runtime.display, "shuffled labels"))
    dealt = Inputs(run, shown, given=relabelled_by(data, giver), given_pack=inputs.given_pack)
    run.record()
    make(dealt, shown, "tabular")
    columns = {FULL: row_of(dealt, FULL, "").out_of_fold}
    usable = used_columns(data.train, run.recipe.features)
    for name in VARIANTS[1:]:
        changed = with_inputs(run.recipe, name, usable)
        if isinstance(changed, Recipe):
            made = made_variant(dealt, shown, changed, Path("evidence") / name, f"inputs {name}", "tabular")
            columns[name] = row_of(made.inputs, name, "").out_of_fold
    metrics = metrics_of(data.train.task)
    outcome = Outcome(np.arange(len(data.train.ids)), dealt.folds.fold.astype(np.int64), columns)
    tests = {}
    with runtime.display.task("what chance says") as progress:
        for place, metric in enumerate(metrics, start=1):
            tests[metric] = judged(
                [(giver, outcome)], data.train.target, data.train.groups, seed=seed, score=metric, deals=DEALS,
                alarm=ALARM / len(metrics),
            )  # fmt: skip
            progress(place, len(metrics))
    shutil.rmtree(run.folder)  # models of dealt labels are of no use to anyone
    cells = {(column.name, metric): column for metric, test in tests.items() for column in test.columns}
    return {
        "metrics": list(metrics),
        "alarm": ALARM,
        "deals": DEALS,
        "passed": all(test.passed for test in tests.values()),
        "rows": [
            {
                "name": name,
                "title": title_of(name),
                "cells": {metric: cell_figures(cells[name, metric], ALARM / len(metrics)) for metric in metrics},
            }
            for name in columns
        ],
    }


def cell_figures(column: Any, alarm: float) -> dict[str, Any]:
    """One cell: the score, what chance scores, and whether the two go together."""
    return {
        "estimate": column.score,
        "chance": column.chance,
        "low": column.chance_low,
        "high": column.chance_high,
        "p": column.p,
        "is_chance": column.p > alarm,
    }


def small(recipe: Recipe) -> Recipe:
    """The recipe with few epochs and few trees."""
    members = tuple(fast_member(member) for member in recipe.tabular.members)
    folds = recipe.folds.model_copy(update={"file": None, "by": None, "max_positive_imbalance": UNEVEN})
    return recipe.model_copy(
        update={
            "folds": folds,
            "image_models": tuple(fast_image_model(model) for model in recipe.image_models),
            "tabular": recipe.tabular.model_copy(update={"members": members}),
        }
    )
