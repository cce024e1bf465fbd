"""What stands out about one lesion, as numbers: measurements beside the patient's others, where heat lies, doubts."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.scores.conformal import SetRule
from features.table import FeatureTable
from pipeline.explain.networks import NetworkExplanation
from pipeline.explain.population import Population
from pipeline.notes import notes_of

STANDS_OUT = 2.0
"""Standard deviations of the patient's other lesions from their mean."""
FEWEST_OTHERS = 5
"""Fewer say little about what is usual for the patient."""
NAMED = 3

Floats = npt.NDArray[np.float64]


def findings(
    population: Population, row: int, score: Floats, networks: list[NetworkExplanation], lacks_image: bool
) -> dict[str, Any]:
    """Every number that the words of a sheet rest on and that is not on it anyway; `score` is the blend's."""
    decision, rows = population.decision, population.patient_rows(row)
    names = population.cohort.task.classes
    table = population.features(population.folds_of(row)[0])
    seeing = [one for one in networks if one.heat is not None and one.heat.any()]
    lesion = dataclasses.replace(population.cohort, table=population.cohort.table[[row]])
    return {
        "measurements": standing_out(table, [*decision.seen.numbers], rows, row),
        "measured_beside": len(rows) - 1,
        "fewest_beside": FEWEST_OTHERS,
        "looks": [{"model": one.name, **look(one.heat)} for one in seeing if one.heat is not None],
        "flagged_at": decision.flagged_at(score)[0] if score.ndim == 1 and decision.thresholds else None,
        "thresholds": [one.target for one in decision.thresholds if one.threshold is not None],
        "level": decision.sets.level,
        "left": left_over(decision.sets, score, names),
        "notes": notes_of(lesion, decision.seen, np.array([lacks_image]))[0],
    }


def standing_out(
    table: FeatureTable, measured: list[str], rows: npt.NDArray[np.int64], row: int
) -> list[dict[str, Any]]:
    """The measurements of a lesion that lie furthest from the patient's other lesions."""
    meaning = {one.name: one for one in table.features}
    others = table.frame[rows[rows != row]]
    found: list[dict[str, Any]] = []
    for name in measured:
        if name not in meaning or meaning[name].kind != "number":
            continue
        beside = others[name].cast(pl.Float64).drop_nulls()
        value, mean, spread = table.frame[name][row], beside.mean(), beside.std()
        if value is None or len(beside) < FEWEST_OTHERS or not isinstance(mean, float) or not spread:
            continue
        unit = "" if meaning[name].unit[:1].isdigit() else meaning[name].unit
        distance = (float(value) - mean) / float(spread)
        found.append({"column": name, "meaning": meaning[name].formula, "unit": unit, "value": float(value),
                      "mean_of_others": mean, "distance": distance})  # fmt: skip
    found = [one for one in found if abs(one["distance"]) >= STANDS_OUT]
    return sorted(found, key=lambda one: -abs(one["distance"]))[:NAMED]


def look(heat: Floats) -> dict[str, float]:
    """The middle of the heat, from 0 (left, top) to 1, and its share in the middle half of the image."""
    share, side = heat / heat.sum(), heat.shape[0]
    places = (np.arange(side) + 0.5) / side
    inside = np.clip((np.minimum(places + 0.5 / side, 0.75) - np.maximum(places - 0.5 / side, 0.25)) * side, 0, 1)
    return {
        "x": float(share.sum(axis=0) @ places),
        "y": float(share.sum(axis=1) @ places),
        "middle": float(inside @ share @ inside),
    }


def left_over(rule: SetRule, score: Floats, names: tuple[str, ...]) -> list[str]:
    """The classes that cannot be ruled out."""
    held = rule.apply(score)[0]
    return [name for name, kept in zip(names, held, strict=True) if kept]
