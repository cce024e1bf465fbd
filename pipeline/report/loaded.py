"""A member's fitted models of one fold, held in memory: what they predict, and how each feature pushed it.

Attributions are the boosters' own (tree SHAP, in log-odds): they add up to the model's output exactly, which a test
checks. Loading once matters because permutation asks the same models hundreds of times.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.files import read_json
from data.matrix import Matrix
from pipeline.report.finished import FinishedRun, Floats, Ints
from tabular.boosters import Booster, Values, adapter
from tabular.crossfit import MANIFEST
from tabular.recipe import MemberRecipe
from tabular.training_data import take


@dataclass(frozen=True)
class LoadedMember:
    """The models of one member on one fold: every seed and bag, which are averaged."""

    name: str
    features: tuple[str, ...]
    models: tuple[Booster, ...]
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

    def contributions(self, matrix: Matrix, rows: Ints) -> Floats:
        """Mean contribution of each feature to the log-odds, and in the last column what no feature accounts for."""
        values = self.values(matrix, rows)
        return self._mean([of_model(model, values) for model in self.models])

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
    models: list[Booster] = []
    weights: list[float] = []
    for member, folder in seeds:
        manifest = read_json(folder / MANIFEST)
        features = tuple(manifest["features"])
        models += [adapter(member.booster).load(folder / entry["file"]) for entry in manifest["models"]]
        weights += [1.0 / len(manifest["models"])] * len(manifest["models"])
    return LoadedMember(seeds[0][0].name, features, tuple(models), tuple(weights))


def of_model(model: Booster, values: Values) -> Floats:
    """Contributions of one model, one column per feature and the base last."""
    return np.asarray(_contributions(model, values), dtype=np.float64)


def _contributions(model: Any, values: Values) -> Any:
    """By library; only the libraries that the recipe uses are imported."""
    library = type(model.model).__module__.split(".")[0]
    return {"lightgbm": _by_lightgbm, "xgboost": _by_xgboost, "catboost": _by_catboost}[library](model, values)


def _by_lightgbm(model: Any, values: Values) -> Any:
    return model.model.predict(values, pred_contrib=True)


def _by_xgboost(model: Any, values: Values) -> Any:
    import xgboost

    booster = model.model
    data = xgboost.DMatrix(
        values, feature_names=booster.feature_names, feature_types=booster.feature_types, enable_categorical=True
    )
    return booster.predict(data, pred_contribs=True)


def _by_catboost(model: Any, values: Values) -> Floats:
    import catboost

    from tabular.catboost_booster import _columns, _model_order

    pool = catboost.Pool(_columns(values, model.categorical, None))
    in_model_order = np.asarray(model.model.get_feature_importance(data=pool, type="ShapValues"))
    result = np.empty_like(in_model_order)
    result[:, _model_order(model.width, model.categorical)] = in_model_order[:, :-1]
    result[:, -1] = in_model_order[:, -1]
    return result
