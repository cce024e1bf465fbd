"""Tree SHAP of a sample of lesions, by models that did not see them: what each feature adds to the log-odds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.matrix import Matrix
from features.source import Feature
from pipeline.report.curves import rounded
from pipeline.report.finished import Floats, Ints
from pipeline.report.loaded import LoadedMember

SHOWN_FEATURES = 20
SHOWN_LESIONS = 150
"""Dots in a row of the SHAP plot."""


@dataclass(frozen=True)
class FoldAttribution:
    """The lesions of one fold: contributions by feature, and what the models saw."""

    rows: Ints
    contributions: dict[str, Floats]
    matrix: Matrix
    members: tuple[str, ...]
    """Those that explain themselves."""


@dataclass(frozen=True)
class Attribution:
    """Mean contribution of every feature over the members, for some lesions, in log-odds."""

    rows: Ints
    names: tuple[str, ...]
    contributions: Floats
    """(lesions, features)."""
    values: Floats
    """What the models saw, aligned to `contributions`."""
    features: dict[str, Feature]
    """The engineered feature behind each column."""

    def of(self, row: int) -> Floats:
        """Contributions to one lesion's log-odds."""
        return np.asarray(self.contributions[int(np.flatnonzero(self.rows == row)[0])], dtype=np.float64)

    def of_family(self, family: str) -> float:
        """Mean absolute contribution of a family's features together."""
        inside = [i for i, name in enumerate(self.names) if self.features[name].family == family]
        together = np.abs(self.contributions[:, inside].sum(axis=1))
        return float(together.mean()) if len(together) else 0.0


def attributed(
    members: Sequence[LoadedMember], matrix: Matrix, local: Ints, rows: Ints, called: Ints | None, threads: int
) -> FoldAttribution:
    """Mean over the members that explain themselves; a feature that one of them does not have counts as none."""
    asked = [(member, member.contributions(matrix, local, called, threads)) for member in members]
    found = [(member, each) for member, each in asked if each is not None]
    total: dict[str, Floats] = {}
    for member, each in found:
        for i, name in enumerate(member.features):
            total[name] = total.get(name, np.zeros(len(rows))) + each[:, i] / len(found)
    return FoldAttribution(rows, total, matrix.take(local), tuple(member.name for member, _ in found))


def joined(parts: Sequence[FoldAttribution], features: dict[str, Feature]) -> Attribution:
    """The folds' parts in one table; a one-hot column that a fold lacks counts as zero there."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.contributions))
    blocks, values = [], []
    for part in parts:
        place = {name: i for i, name in enumerate(part.matrix.names)}
        block, seen = np.zeros((len(part.rows), len(names))), np.full((len(part.rows), len(names)), np.nan)
        for i, name in enumerate(names):
            block[:, i] = part.contributions.get(name, 0.0)
            if name in place:
                seen[:, i] = part.matrix.values[:, place[name]]
        blocks.append(block)
        values.append(seen)
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    return Attribution(rows[order], names, np.concatenate(blocks)[order], np.concatenate(values)[order], features)


def feature_figures(
    attribution: Attribution, sampled: Any, gains: Sequence[Mapping[str, float]], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The features that push most, with the dots of their SHAP plot: contribution against rank of the value."""
    strength = np.abs(attribution.contributions[sampled]).mean(axis=0)
    lesions = np.flatnonzero(sampled)
    dots = np.sort(rng.choice(lesions, min(SHOWN_LESIONS, len(lesions)), replace=False))
    result = []
    for i in np.argsort(-strength, kind="stable")[:SHOWN_FEATURES]:
        name, values = attribution.names[i], attribution.values[dots, i]
        feature = attribution.features[name]
        ranks = (rankdata(np.nan_to_num(values)) - 1) / max(len(values) - 1, 1)
        result.append(
            {
                "feature": name,
                "family": feature.family,
                "meaning": feature.formula,
                "unit": feature.unit,
                "mean_absolute_contribution": float(strength[i]),
                "gain": float(np.mean([gain.get(name, 0.0) for gain in gains])) if gains else None,
                "contributions": rounded(attribution.contributions[dots, i], 3),
                "value_ranks": rounded(ranks, 3),
            }
        )
    return result


def contribution_range(features: list[dict[str, Any]]) -> dict[str, float]:
    """The scale that the dots of all features share."""
    every = [value for one in features for value in one["contributions"]]
    return {"low": min([0.0, *every]), "high": max([0.0, *every])}
