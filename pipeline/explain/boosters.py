"""What pushed the boosters' answer about one lesion: their own tree SHAP, mean over members and folds."""

from typing import Any

import numpy as np

from features.source import Feature
from pipeline.explain.population import Population
from pipeline.report.loaded import load_members, push

SHOWN = 10
"""Features on the sheet; the others are summed."""


def explain_boosters(population: Population, row: int, towards: int) -> dict[str, Any]:
    """Contributions to the score of the class `towards`, in log-odds: the strongest, the others' sum, and the base.

    `base`, the strongest and `others` add up to `total`, the mean raw output of the boosters that explain themselves.
    Blend and calibration come after it, so it orders lesions as the members do and is not the log-odds of the blend.
    """
    folds, stage_two = population.folds_of(row), population.plan.stage_two
    two = len(population.cohort.task.classes) == 2
    only, called = np.zeros(1, dtype=np.int64), None if two else np.array([towards], dtype=np.int64)
    pushes: dict[str, float] = {}
    features: dict[str, Feature] = {}
    base, members = 0.0, dict[str, bool]()
    sign = -1.0 if two and towards == 0 else 1.0
    for fold in folds:
        encoder = stage_two.encoder(fold)
        matrix = encoder.transform(population.features(fold), np.array([row], dtype=np.int64))
        features |= dict(zip(matrix.names, (feature for _, feature, _ in encoder.columns()), strict=True))
        loaded = load_members(stage_two.of_fold(fold))
        asked = [(one, one.contributions(matrix, only, called, population.runtime.threads)) for one in loaded]
        members |= {member.name: found is not None for member, found in asked}
        explained = [(member, found[0]) for member, found in asked if found is not None]
        for member, found in explained:
            share = sign / (len(folds) * len(explained))
            base += share * float(found[-1])
            for name, value in zip(member.features, found[:-1], strict=True):
                pushes[name] = pushes.get(name, 0.0) + share * float(value)
    order = sorted(pushes, key=lambda name: -abs(pushes[name]))
    values = population.features(folds[0]).frame[row].row(0, named=True)
    return {
        "members": [name for name, explains in members.items() if explains],
        "without_shap": [name for name, explains in members.items() if not explains],
        "features": [push(name, features[name], values[features[name].name], pushes[name]) for name in order[:SHOWN]],
        "others": {"features": len(order[SHOWN:]), "contribution": sum(pushes[name] for name in order[SHOWN:])},
        "base": base,
        "total": base + sum(pushes.values()),
    }
