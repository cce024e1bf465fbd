"""A member's fitted models of one fold, held in memory: what they predict, and how each feature pushed it.

Attributions are the boosters' own (tree SHAP, in log-odds): they add up to the model's output exactly, which tests
check. Loading once matters because permutation asks the same models hundreds of times.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.matrix import Matrix
from pipeline.report.finished import FinishedRun, Floats, Ints
from tabular.crossfit import load_models
from tabular.learners.learner import Model, Values
from tabular.recipe import MemberRecipe
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
        return take(matrix.values, rows, np.array([place[name] for name in self.features], dtype=np.int64))

    def predict(self, matrix: Matrix, rows: Ints, threads: int = 1) -> Floats:
        """Mean probability."""
        values = self.values(matrix, rows)
        return self._mean([model.predict(values, threads) for model in self.models])

    def contributions(self, matrix: Matrix, rows: Ints, towards: Ints | None = None, threads: int = 1) -> Floats:
        """Mean contribution of each feature to the log-odds, and in the last column what no feature accounts for.

        With several classes: to the logit of the class `towards` of each row, less the mean logit of all classes,
        because logits mean something only beside each other.
        """
        values = self.values(matrix, rows)
        found = [model.contributions(values, threads) for model in self.models]
        return self._mean([for_class(part, towards) for part in found if part is not None])

    def _mean(self, parts: list[Floats]) -> Floats:
        return np.asarray(np.average(np.stack(parts), axis=0, weights=self.weights), dtype=np.float64)


def load_members(run: FinishedRun, fold: int) -> list[LoadedMember]:
    """Every member of the recipe, fitted without `fold`."""
    jobs = [job for job in run.member_jobs if job.fold == fold]
    names = list(dict.fromkeys(job.member.name for job in jobs))
    return [load_member([(job.member, job.folder) for job in jobs if job.member.name == name]) for name in names]


def load_member(seeds: list[tuple[MemberRecipe, Path]]) -> LoadedMember:
    """One member from the folders of its seeds."""
    features: tuple[str, ...] = ()
    models: list[Model] = []
    weights: list[float] = []
    for member, folder in seeds:
        features, bags = load_models(member, folder)
        models += bags
        weights += [1.0 / len(bags)] * len(bags)
    return LoadedMember(seeds[0][0].name, features, tuple(models), tuple(weights))


def for_class(found: Floats, towards: Ints | None) -> Floats:
    """One class of every row, (rows, columns + 1); with two classes there is only one."""
    if found.ndim == 2:
        return found
    if towards is None:
        raise ValueError("several classes: say towards which one of each row")
    return np.asarray((found - found.mean(axis=1, keepdims=True))[np.arange(len(found)), towards], dtype=np.float64)
