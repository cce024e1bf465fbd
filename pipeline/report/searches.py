"""What the parameter searches of a run found, and what is left of it on folds that they did not see."""

from collections.abc import Sequence
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
    by_member: dict[str, list[Step]] = {}
    for step in plan.of("tuning"):
        by_member.setdefault(str(step.key[0]), []).append(step)
    return [searches_of(member, steps) for member, steps in by_member.items()]


def searches_of(member: str, steps: Sequence[Step]) -> dict[str, Any]:
    """The searches of one member, one per fold or one for all: winners, trials, importances, the honest figure."""
    facts = [read_json(step.folder / "tuning.json") for step in steps]
    tables = [read_parquet(step.folder / "trials.parquet", "Run `fusionnetx tabular` again.")[0] for step in steps]
    names = list(facts[0]["best_parameters"])
    again = [one["reestimate"] for one in facts if one["reestimate"] is not None]
    return {
        "member": member,
        "metric": short_title(METRIC),
        "shared": len(steps) == 1,
        "searches": [
            {
                "fold": step.key[1] if len(step.key) > 1 else None,
                "best": one["best_value"],
                "as_in_recipe": one["first_value"],
                "best_parameters": one["best_parameters"],
            }
            for step, one in zip(steps, facts, strict=True)
        ],
        "importance": {
            name: fmean(shares)
            for name in names
            if (shares := [one["importance"][name] for one in facts if name in one["importance"]])
        },
        "trials": [trial for number, table in enumerate(tables) for trial in trials_of(table, names, number)],
        "honest": honest_figures(
            *([score for one in again for score in one[key]] for key in ("tuned", "as_in_recipe"))
        ),
        "notes": list(dict.fromkeys(note for one in facts for note in one["notes"])),
    }


def honest_figures(tuned: Sequence[float], as_in_recipe: Sequence[float]) -> dict[str, Any] | None:
    """Means over the folds that no search saw; None without any."""
    if not tuned:
        return None
    won = sum(a > b for a, b in zip(tuned, as_in_recipe, strict=True))
    return {"tuned": fmean(tuned), "as_in_recipe": fmean(as_in_recipe), "folds": len(tuned), "folds_won": won}


def trials_of(trials: pl.DataFrame, parameters: list[str], search: int) -> list[dict[str, Any]]:
    """Every trial: of which search, number, state, score, parameters."""
    searched = [name for name in parameters if name in trials.columns]
    return [
        {
            "search": search,
            "trial": row["trial"],
            "state": row["state"],
            "score": row[METRIC],
            "parameters": {name: row[name] for name in searched},
        }
        for row in trials.iter_rows(named=True)
    ]
