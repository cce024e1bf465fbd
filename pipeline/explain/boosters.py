"""What pushed the boosters' answer about one lesion: their own tree SHAP, mean over members and folds."""

from typing import Any

import numpy as np

from features.encode import Encoder
from features.source import Feature
from pipeline.explain.population import Population
from pipeline.predicting import stored
from pipeline.report.loaded import load_member
from pipeline.steps.features import encoder_path
from pipeline.steps.tabular import member_dir
from pipeline.steps.tuning import tuned_members

SHOWN = 10
"""Features on the sheet; the others are summed."""


def explain_boosters(population: Population, row: int, towards: int) -> dict[str, Any]:
    """Contributions to the score of the class `towards`, in log-odds: the strongest, the others' sum, and the base.

    `base`, the strongest and `others` add up to `total`, the mean raw output of the boosters. Blend and calibration
    come after it, so it orders lesions as the members do and is not the log-odds of the blend.
    """
    space = population.space
    folds, members = population.folds_of(row), tuned_members(space)
    two = len(population.cohort.task.classes) == 2
    only, called = np.zeros(1, dtype=np.int64), None if two else np.array([towards], dtype=np.int64)
    share = (-1.0 if two and towards == 0 else 1.0) / (len(folds) * len(members))
    pushes: dict[str, float] = {}
    features: dict[str, Feature] = {}
    base = 0.0
    for fold in folds:
        table = population.features(fold)
        encoder = Encoder.from_json(stored(encoder_path(space.run_dir, fold)))
        matrix = encoder.transform(table, np.array([row], dtype=np.int64))
        features |= dict(zip(matrix.names, (feature for _, feature, _ in encoder.columns()), strict=True))
        for member in members:
            loaded = load_member([(member, member_dir(space, member, fold, seed)) for seed in member.seeds])
            found = loaded.contributions(matrix, only, called, space.threads)[0]
            base += share * float(found[-1])
            for name, value in zip(loaded.features, found[:-1], strict=True):
                pushes[name] = pushes.get(name, 0.0) + share * float(value)
    order = sorted(pushes, key=lambda name: -abs(pushes[name]))
    values = population.features(folds[0]).frame[row].row(0, named=True)
    return {
        "members": [member.name for member in members],
        "features": [push(name, features[name], values[features[name].name], pushes[name]) for name in order[:SHOWN]],
        "others": {"features": len(order[SHOWN:]), "contribution": sum(pushes[name] for name in order[SHOWN:])},
        "base": base,
        "total": base + sum(pushes.values()),
    }


def push(name: str, feature: Feature, value: Any, contribution: float) -> dict[str, Any]:
    """One feature: what it is, its value with unit, and how far it pushed."""
    return {
        "feature": name,
        "meaning": feature.formula,
        "unit": "" if feature.unit[:1].isdigit() else feature.unit,  # "1" and "0 to 10" are no units
        "value": value if value is None or isinstance(value, str) else float(f"{value:.4g}"),
        "contribution": contribution,
    }
