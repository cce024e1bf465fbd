"""What a comparison shows: each run's scores and cost, its distance from the first, and the recipe keys that differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.cohort import Cohort
from data.progress import Progress, silent
from pipeline.ablation.rows import Row, columns_of
from pipeline.ablation.scores import Sample
from pipeline.comparison.sides import Side
from pipeline.run import changed_keys
from pipeline.steps.fold_models import stacked
from pipeline.steps.submission import answers_of
from pipeline.workspace import Workspace


def comparison_figures(sides: Sequence[Side], progress: Progress = silent) -> dict[str, Any]:
    """Everything that the table and the page show."""
    first = sides[0]
    differences, notes = [], []
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
        "synthetic": any(side.synthetic for side in sides),
        "runs": [run_figures(side) for side in sides],
        "differences": differences,
        "notes": notes,
        "recipes": [
            {"run": side.label, "changes": list(changed_keys(by_name(first), by_name(side), ""))} for side in sides[1:]
        ],
    }


def run_figures(side: Side) -> dict[str, Any]:
    """One run by itself, as its stages reported it."""
    blend = side.scores["blend"]
    tests = side.submission.get("scores") or {}
    return {
        "run": side.label,
        "description": side.space.recipe.description,
        "score": side.score,
        "lesions": int(blend["lesions"]["estimate"]),
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
        if side.data is None:
            return f"the lesions of {side.label} are not at hand; name their folder with --data"
    assert a.data is not None
    assert b.data is not None
    return None if same_lesions(a.data.train, b.data.train) else "they are about other lesions"


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
    assert first.data is not None
    train = first.data.train
    seed = first.space.recipe.seed
    samples = [Sample("cross_validated", train.target, train.groups, first.score, seed)]
    hidden = hidden_sample(first, side, seed)
    if hidden is not None:
        samples.append(hidden)
    names = [name for name in side.scores if name in first.scores]
    here, there = rows_of(side, first, names, hidden is not None), rows_of(first, first, names, hidden is not None)
    return [
        {
            "run": side.label,
            "column": name,
            **{
                part: next((one.lead(here[name], there[name]) for one in samples if one.part == part), None)
                for part in ("cross_validated", "hidden_test")
            },
        }
        for name in names
    ]


def hidden_sample(first: Side, side: Side, seed: int) -> Sample | None:
    """The hidden test of a synthetic cohort, where both runs predicted it."""
    if not (first.synthetic and side.synthetic and first.data and side.data and first.data.test and side.data.test):
        return None
    both = all((one.folder / "tabular" / "test.parquet").is_file() for one in (first, side))
    answers = answers_of(reading(first))
    if not both or answers is None or first.data.test.fingerprint != side.data.test.fingerprint:
        return None
    return Sample("hidden_test", answers.target, first.data.test.groups, first.score, seed)


def reading(side: Side) -> Workspace:
    """The run's workspace with the lesions that were already read."""
    assert side.data is not None
    side.space.data = side.data
    return side.space


def rows_of(side: Side, first: Side, names: Sequence[str], with_test: bool) -> dict[str, Row]:
    """Columns of a run in the order of the first run's tables."""
    assert first.data is not None
    ids = {"oof.parquet": first.data.train.ids}
    if with_test and first.data.test is not None:
        ids["test.parquet"] = first.data.test.ids
    found: dict[str, dict[str, Any]] = {}
    for file, wanted in ids.items():
        found[file] = {
            column: values
            for stage in ("tabular", "oof")
            if (side.folder / stage / file).is_file()
            for column, values in columns_of(side.space, stage, file, wanted).items()
        }
    test = found.get("test.parquet")
    return {
        name: Row(name, name, stacked(found["oof.parquet"], name), stacked(test, name) if test else None)
        for name in names
    }


def by_name(side: Side) -> dict[str, Any]:
    """The recipe with models and members by name, so that a changed key is named and not a whole list."""
    raw = side.space.recipe.model_dump(mode="json", exclude={"description"})
    raw["image_models"] = {one["name"]: one for one in raw["image_models"]}
    raw["tabular"]["members"] = {one["name"]: one for one in raw["tabular"]["members"]}
    return raw
