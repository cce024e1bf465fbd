"""What a comparison shows: each run's scores and cost, its distance from the first, and the recipe keys that differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.cohort import Cohort
from data.progress import Progress, silent
from pipeline.ablation.rows import Row, columns_of
from pipeline.ablation.scores import Sample
from pipeline.columns import stacked
from pipeline.comparison.sides import Side
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.repeats import as_json, finished_repeats, gain
from pipeline.report.words import UNKNOWN
from pipeline.step_reports import changed_keys
from pipeline.steps.submission import answers_of

PARTS = {"cross_validated": "oof.parquet", "hidden_test": "test.parquet"}
"""Where the columns for each sample are."""


def comparison_figures(sides: Sequence[Side], progress: Progress = silent) -> dict[str, Any]:
    """Everything that the table and the page show."""
    first, recipes = sides[0], [by_name(side.run.recipe) for side in sides]
    differences = []
    notes = [f"{side.label} is {reason}" for side in sides if (reason := side.run.recipe.tabular.optimistic)]
    for place, side in enumerate(sides[1:], start=1):
        reason = why_unpaired(first, side)
        if reason:
            notes.append(f"{side.label} and {first.label}: no paired difference, because {reason}")
        else:
            differences += paired(first, side)
        progress(place, len(sides) - 1)
    return {
        "score": first.score,
        "first": first.label,
        "words": first.inputs.data.train.task.words if first.inputs else UNKNOWN,
        "synthetic": any(side.run.invented for side in sides),
        "runs": [run_figures(side) for side in sides],
        "differences": differences,
        "notes": notes,
        "recipes": [
            {"run": side.label, "changes": list(changed_keys(recipes[0], recipe, ""))}
            for side, recipe in zip(sides[1:], recipes[1:], strict=True)
        ],
    }


def run_figures(side: Side) -> dict[str, Any]:
    """One run by itself, as its stages reported it."""
    tests = side.submission.get("scores") or {}
    return {
        "run": side.label,
        "description": side.run.recipe.description,
        "score": side.score,
        "lesions": int(side.scores["blend"]["lesions"]["estimate"]),
        "columns": [
            {"column": name, "scores": figures, "test": {part: of.get(name) for part, of in tests.items()}}
            for name, figures in side.scores.items()
        ],
        "seconds": side.seconds(),
        "finished": side.stage_two.get("finished"),
        "commit": side.stage_two.get("commit"),
    }


def why_unpaired(a: Side, b: Side) -> str | None:
    """None when both runs are about the same lesions, answers and patients."""
    if a.score != b.score:
        return f"their scores differ ({a.score} and {b.score})"
    for side in (a, b):
        if side.inputs is None:
            return f"the lesions of {side.label} are not at hand; name their folder with --data"
    return None if same_lesions(data_of(a).data.train, data_of(b).data.train) else "they are about other lesions"


def data_of(side: Side) -> Inputs:
    """The inputs of a run whose lesions are at hand."""
    assert side.inputs is not None
    return side.inputs


def same_lesions(a: Cohort, b: Cohort) -> bool:
    """Whether two tables hold the same lesions of the same patients with the same answers, in any order."""
    one, other = np.argsort(a.ids), np.argsort(b.ids)
    return (
        np.array_equal(a.ids[one], b.ids[other])
        and np.array_equal(a.target[one], b.target[other])
        and np.array_equal(a.groups[one], b.groups[other])
    )


def paired(first: Side, side: Side) -> list[dict[str, Any]]:
    """For every column that both runs have: how far `side` is from the first run, on the same drawn patients."""
    data, seed = data_of(first).data, first.run.recipe.seed
    samples = [Sample("cross_validated", data.train.target, data.train.groups, first.score, seed)]
    ids = {"cross_validated": data.train.ids}
    hidden = hidden_sample(first, side, seed)
    if hidden is not None and data.test is not None:
        samples.append(hidden)
        ids["hidden_test"] = data.test.ids
    names = [name for name in side.scores if name in first.scores]
    here, there = (rows_of(one, names, ids) for one in (side, first))
    ours, theirs = (finished_repeats(data_of(one)) for one in (side, first))
    return [
        {
            "run": side.label,
            "column": name,
            **dict.fromkeys(PARTS),
            **{sample.part: sample.lead(here[name], there[name]) for sample in samples},
            "told_apart": as_json(gain(ours, theirs, name, name)),
        }
        for name in names
    ]


def hidden_sample(first: Side, side: Side, seed: int) -> Sample | None:
    """The hidden test of a synthetic cohort, where both runs predicted it."""
    tests = [data_of(one).data.test for one in (first, side)]
    predicted = all((one.run.folder / "tabular" / PARTS["hidden_test"]).is_file() for one in (first, side))
    answers = answers_of(data_of(first)) if predicted and side.run.invented else None
    if answers is None or tests[0] is None or tests[1] is None or tests[0].fingerprint != tests[1].fingerprint:
        return None
    return Sample("hidden_test", answers.target, tests[0].groups, first.score, seed)


def rows_of(side: Side, names: Sequence[str], ids: dict[str, Any]) -> dict[str, Row]:
    """Columns of a run in the order of the first run's tables, whose ids these are."""
    found: dict[str, dict[str, Any]] = {part: {} for part in ids}
    for part, wanted in ids.items():
        for stage in ("tabular", "oof"):
            path = side.run.folder / stage / PARTS[part]
            found[part] |= columns_of(path, wanted) if path.is_file() else {}
    test = found.get("hidden_test")
    return {
        name: Row(name, name, stacked(found["cross_validated"], name), stacked(test, name) if test else None)
        for name in names
    }


def by_name(recipe: Recipe) -> dict[str, Any]:
    """The recipe with models and members by name, so that a changed key is named and not a whole list."""
    raw = recipe.model_dump(mode="json", exclude={"description"})
    raw["image_models"] = {one["name"]: one for one in raw["image_models"]}
    raw["tabular"]["members"] = {one["name"]: one for one in raw["tabular"]["members"]}
    return raw
