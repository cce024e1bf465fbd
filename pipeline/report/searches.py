"""What the parameter searches of a run found, and what is left of it on folds that they did not see."""

from statistics import fmean
from typing import Any

import polars as pl

from data.files import read_json
from data.tables.parquet import read_parquet
from pipeline.report.finished import FinishedRun
from pipeline.steps.tuning import tuning_step, wanted_members


def searches(run: FinishedRun) -> list[dict[str, Any]]:
    """One entry per member that was tuned; empty when the recipe asks for no tuning."""
    return [search_of(run, member.name) for member in wanted_members(run.space)]


def search_of(run: FinishedRun, name: str) -> dict[str, Any]:
    """Trials, winner, importances and the re-estimate of one member."""
    member = next(member for member in run.space.recipe.tabular.members if member.name == name)
    folder = tuning_step(run.space, member).folder
    facts = read_json(folder / "tuning.json")
    trials, _ = read_parquet(folder / "trials.parquet", "Run `fusionnetx tabular` again.")
    again = facts["reestimate"]
    return {
        "member": name,
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
    columns = ["trial", "state", "pauc", *[name for name in parameters if name in trials.columns]]
    return [
        {
            "trial": row["trial"],
            "state": row["state"],
            "score": row["pauc"],
            "parameters": {name: row[name] for name in columns[3:]},
        }
        for row in trials.select(columns).iter_rows(named=True)
    ]
