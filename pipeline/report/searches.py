"""What the parameter searches of a run found, and what is left of it on folds that they did not see."""

from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any

import polars as pl

from data.files import read_json
from data.tables.parquet import read_parquet
from pipeline.plan import Plan
from pipeline.report.axis import Axis, around, whole_numbers
from pipeline.report.svg import Dots, Line, Plot
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


def search_plots(search: dict[str, Any], place: int) -> list[Plot]:
    """Both of one member."""
    parallel = parallel_plot(search, place)
    return [history_plot(search, place), *([parallel] if parallel else [])]


def history_plot(search: dict[str, Any], place: int) -> Plot:
    """Score of every finished trial, and the best so far of each search."""
    done = [trial for trial in search["trials"] if trial["score"] is not None]
    x, y = [trial["trial"] + 1 for trial in done], [trial["score"] for trial in done]
    others = f"{len(search['trials']) - len(done)} stopped early or failed"
    lines = []
    for number in range(len(search["searches"])):
        own = [(trial["trial"] + 1, trial["score"]) for trial in done if trial["search"] == number]
        best = list(accumulate((score for _, score in own), max))
        label = "" if number else "best so far" + (" of each search" if len(search["searches"]) > 1 else "")
        lines.append(Line([place for place, _ in own], best, label, 2, step=True))
    return Plot(
        f"Search of {search['member']}",
        f"n = {len(done)} finished trials, {others}; mean {search['metric']} over the folds searched on",
        f"The best trial scores {max(y):.4f}, the first one {y[0]:.4f}.",
        whole_numbers("trial", max(x)),
        around(search["metric"], y, 0.08),
        [Dots(x, y, "trial", 1), *lines],
        f"/report/tuning/{place}/trials",
    )


def parallel_plot(search: dict[str, Any], place: int) -> Plot | None:
    """Every finished trial as a line through its parameters; the best fifth stands out."""
    done = sorted((one for one in search["trials"] if one["score"] is not None), key=lambda trial: trial["score"])
    names = list(search["searches"][0]["best_parameters"])
    if len(done) < 2 or len(names) < 2:
        return None
    heights = [heights_of([trial["parameters"][name] for trial in done]) for name in names]
    threshold = done[-max(1, len(done) // 5)]["score"]
    good = [trial["score"] >= threshold for trial in done]
    labels = {good.index(True): "best fifth of the trials"}
    if not all(good):
        labels[0] = "other trials"
    places = [float(i) for i in range(len(names))]
    return Plot(
        f"Parameters of {search['member']}",
        f"n = {len(done)} trials; " + ", ".join(f"{i + 1} {name}" for i, name in enumerate(names)),
        "Each line is one trial; its height at a parameter is the rank of its value among the trials.",
        Axis("parameter", -0.1, len(names) - 0.9, [(at, f"{at + 1:.0f}") for at in places]),
        Axis("rank of the value", 0, 1),
        [
            Line(places, [of_name[i] for of_name in heights], labels.get(i, ""), 1 + good[i], faint=not good[i])
            for i in range(len(done))
        ],
        f"/report/tuning/{place}/trials",
    )


def heights_of(values: list[Any]) -> list[float | None]:
    """Rank of each value between 0 and 1: log-scaled and categorical parameters need no scale of their own."""
    distinct = sorted({value for value in values if value is not None}, key=lambda v: (isinstance(v, str), v))
    span = max(len(distinct) - 1, 1)
    return [None if value is None else distinct.index(value) / span for value in values]
