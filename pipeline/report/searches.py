"""What the parameter searches of a run found, and what is left of it on folds that they did not see."""

from statistics import fmean
from typing import Any

import polars as pl

from data.files import read_json
from data.tables.parquet import read_parquet
from pipeline.plan import Plan
from pipeline.report.words import short_title
from pipeline.step import Step

METRIC = "pauc"
"""The score that trials are judged by, whatever the task's is; also the name of its column."""


def searches(plan: Plan) -> list[dict[str, Any]]:
    """One entry per member that was tuned; empty when the recipe asks for no tuning."""
    return [search_of(step) for step in plan.of("tuning")]


def search_of(step: Step) -> dict[str, Any]:
    """Trials, winner, importances and the re-estimate of one member."""
    facts = read_json(step.folder / "tuning.json")
    trials, _ = read_parquet(step.folder / "trials.parquet", "Run `fusionnetx tabular` again.")
    again = facts["reestimate"]
    return {
        "member": str(step.key[0]),
        "metric": short_title(METRIC),
        "best": facts["best_value"],
        "as_in_recipe": facts["first_value"],
        "best_parameters": facts["best_parameters"],
        "importance": facts["importance"],
        "trials": trials_of(trials, list(facts["best_parameters"])),
        "honest": None
        if again is None
        else {
            "tuned": fmean(again["tuned"]),
            "as_in_recipe": fmean(again["as_in_recipe"]),
            "folds": len(again["tuned"]),
            "folds_won": sum(a > b for a, b in zip(again["tuned"], again["as_in_recipe"], strict=True)),
        },
        "notes": facts["notes"],
    }


def trials_of(trials: pl.DataFrame, parameters: list[str]) -> list[dict[str, Any]]:
    """Every trial: number, state, score, parameters."""
    searched = [name for name in parameters if name in trials.columns]
    return [
        {
            "trial": row["trial"],
            "state": row["state"],
            "score": row[METRIC],
            "parameters": {name: row[name] for name in searched},
        }
        for row in trials.iter_rows(named=True)
    ]
