"""A member's fitted models of one fold, held in memory: what they predict, and how each feature pushed it.

Attributions are the boosters' own (tree SHAP, in log-odds): they add up to the model's output exactly, which tests
check. Loading once matters because permutation asks the same models hundreds of times.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import DataError, examples
from data.matrix import Matrix
from features.source import Feature
from pipeline.report.finished import Floats, Ints
from pipeline.step import Step
from pipeline.steps.booster import booster_of
from tabular.crossfit import load_models
from tabular.learners.learner import Model, Values
from tabular.training_data import take


@dataclass(frozen=True)
class LoadedMember:
    """The models of one member on one fold: every seed and bag, which are averaged."""

    name: str
    features: tuple[str, ...]
    models: tuple[Model, ...]
    weights: tuple[float, ...]
    """Each seed counts the same, however many bags it has."""

    def values(self, matrix: Matrix, rows: Ints) -> Values:
        """The member's columns of some rows."""
        place = {name: i for i, name in enumerate(matrix.names)}
        unknown = [name for name in self.features if name not in place]
        if unknown:
            raise DataError(
                f"member {self.name} was trained on {examples(unknown)}, which nobody makes; train it again"
            )
        return take(matrix.values, rows, np.array([place[name] for name in self.features], dtype=np.int64))

    def predict(self, matrix: Matrix, rows: Ints, threads: int = 1) -> Floats:
        """Mean probability."""
        values = self.values(matrix, rows)
        return self._mean([model.predict(values, threads) for model in self.models])

    def contributions(self, matrix: Matrix, rows: Ints, towards: Ints | None = None, threads: int = 1) -> Floats | None:
        """Mean contribution of each feature to the log-odds, and in the last column what no feature accounts for.

        With several classes: to the logit of the class `towards` of each row, less the mean logit of all classes,
        because logits mean something only beside each other. None of a member whose models cannot tell.
        """
        values = self.values(matrix, rows)
        found = [explained(self.name, model, values, threads) for model in self.models]
        parts = [for_class(one, towards) for one in found if one is not None]
        return self._mean(parts) if len(parts) == len(found) else None

    def _mean(self, parts: list[Floats]) -> Floats:
        return np.asarray(np.average(np.stack(parts), axis=0, weights=self.weights), dtype=np.float64)


def explained(member: str, model: Model, values: Values, threads: int) -> Floats | None:
    """A model's own attributions; DataError for a forged one, which may predict and yet have none."""
    try:
        found = model.contributions(values, threads)
    except MemoryError:
        raise
    except Exception as error:  # each library has its own
        reason = str(error).strip().partition("\n")[0][:100]
        raise DataError(f"member {member}: its models cannot say why ({reason}); train it again") from error
    if found is not None and not np.isfinite(found).all():
        raise DataError(f"member {member}: what its models say of their reasons is no number; train it again")
    return found


def load_members(steps: Iterable[Step]) -> list[LoadedMember]:
    """The members that some boosters of one fold belong to."""
    of_member: dict[str, list[Step]] = {}
    for step in steps:
        of_member.setdefault(booster_of(step).member.name, []).append(step)
    return [load_member(name, seeds) for name, seeds in of_member.items()]


def load_member(name: str, seeds: Iterable[Step]) -> LoadedMember:
    """One member from the boosters of its seeds."""
    features: tuple[str, ...] = ()
    models: list[Model] = []
    weights: list[float] = []
    for step in seeds:
        loaded = load_models(booster_of(step).member, step.folder)
        features = loaded.features
        models += loaded.models
        weights += [1.0 / len(loaded.models)] * len(loaded.models)
    return LoadedMember(name, features, tuple(models), tuple(weights))


def for_class(found: Floats, towards: Ints | None) -> Floats:
    """One class of every row, (rows, columns + 1); with two classes there is only one."""
    if found.ndim == 2:
        return found
    if towards is None:
        raise ValueError("several classes: say towards which one of each row")
    return np.asarray((found - found.mean(axis=1, keepdims=True))[np.arange(len(found)), towards], dtype=np.float64)


def push(name: str, feature: Feature, value: Any, contribution: float) -> dict[str, Any]:
    """One feature of one lesion: what it is, its value with unit, and how far it pushed."""
    return {
        "feature": name,
        "meaning": feature.formula,
        "unit": "" if feature.unit[:1].isdigit() else feature.unit,  # "1" and "0 to 10" are no units
        "value": value if value is None or isinstance(value, str) else float(f"{value:.4g}"),
        "contribution": contribution,
    }
