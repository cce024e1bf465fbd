"""CatBoost behind the booster protocol; models as cbm."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import catboost
import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import atomic
from tabular.learners.learner import Floats, Rows, Settings, Values, refusal, shares

LAYOUT = "fusionnetx_columns"


class CatBoostBooster:
    """A CatBoost model.

    CatBoost takes categories as text beside the numbers, so its columns are the numbers first, then the categories.
    """

    suffix: ClassVar[str] = ".cbm"
    binning: ClassVar[frozenset[str]] = frozenset({"border_count", "feature_border_type", "nan_mode"})

    def __init__(self, model: catboost.CatBoost, categorical: tuple[int, ...], width: int) -> None:
        self.model = model
        self.trees = int(model.tree_count_)
        self.categorical = categorical
        self.width = width

    @classmethod
    def bin(cls, rows: Rows, settings: Settings) -> Any:
        """A quantised Pool, with what it takes to give later rows the same columns."""
        pool = cls._pool(rows, settings)
        given = {name: settings.parameters[name] for name in cls.binning if name in settings.parameters}
        try:
            pool.quantize(**given, task_type="GPU" if settings.device == "gpu" else "CPU", random_seed=1)
        except catboost.CatBoostError as error:
            raise refusal("CatBoost", error) from error
        return Binned(pool, rows.categorical, len(rows.names))

    @classmethod
    def bin_watched(cls, rows: Rows, settings: Settings, training: Any) -> Any:
        """A Pool that CatBoost puts into the bins of the training data by itself."""
        return cls._pool(rows, settings)

    @classmethod
    def _pool(cls, rows: Rows, settings: Settings) -> catboost.Pool:
        return catboost.Pool(
            _columns(rows.values, rows.categorical, rows.names),
            label=rows.target,
            weight=rows.weight,
            thread_count=settings.threads,
        )

    @classmethod
    def fit(cls, training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> Self:
        """Train; after early stopping CatBoost keeps the rounds up to the best."""
        binary = settings.classes == 2
        model = catboost.CatBoost(
            {
                **{name: value for name, value in settings.parameters.items() if name not in cls.binning},
                "loss_function": "Logloss" if binary else "MultiClass",
                "eval_metric": "AUC" if binary else "MultiClass",
                **({} if binary else {"classes_count": settings.classes}),
                "iterations": settings.iterations,
                "random_seed": settings.seed,
                "thread_count": settings.threads,
                "task_type": "GPU" if settings.device == "gpu" else "CPU",
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        try:
            if watched is None:
                model.fit(training.pool)
            else:
                model.fit(training.pool, eval_set=watched, early_stopping_rounds=patience, use_best_model=True)
        except catboost.CatBoostError as error:
            raise refusal("CatBoost", error) from error
        return cls(model, training.categorical, training.width)

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        table = _columns(values, self.categorical, None)
        columns = np.asarray(
            self.model.predict(table, prediction_type="Probability", thread_count=threads), dtype=np.float64
        )
        return columns[:, 1] if columns.shape[1] == 2 else columns

    def importance(self) -> Floats:
        """Share of each column in the changes of the prediction (CatBoost keeps no gains)."""
        in_model_order = np.asarray(self.model.get_feature_importance(type="PredictionValuesChange"))
        result = np.zeros(self.width)
        result[_model_order(self.width, self.categorical)] = in_model_order
        return shares(result)

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP by CatBoost, put back into the order of the columns."""
        pool = catboost.Pool(_columns(values, self.categorical, None), thread_count=threads)
        found = self.model.get_feature_importance(data=pool, type="ShapValues", thread_count=threads)
        in_model_order = np.asarray(found, dtype=np.float64)
        result = np.empty_like(in_model_order)
        result[..., _model_order(self.width, self.categorical)] = in_model_order[..., :-1]
        result[..., -1] = in_model_order[..., -1]
        return result

    def save(self, path: Path) -> None:
        """Write cbm, with the place of the categories and without date and random identifier."""
        metadata = self.model.get_metadata()
        metadata[LAYOUT] = json.dumps({"categorical": self.categorical, "width": self.width})
        metadata["train_finish_time"] = ""
        metadata["model_guid"] = ""
        with atomic(path) as temporary:
            # Written by Python: on a full disk CatBoost 1.2's own save_model leaves half a file and says nothing.
            temporary.write_bytes(self.model._serialize_model())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read cbm."""
        if not path.is_file():
            raise DataError(f"CatBoost model {path} does not exist; train the member again")
        try:
            model = catboost.CatBoost()
            model.load_model(str(path), format="cbm")
            layout = json.loads(model.get_metadata()[LAYOUT])
        except (catboost.CatBoostError, KeyError, ValueError) as error:
            raise DataError(f"{path} is not a whole CatBoost model of this project; train the member again") from error
        return cls(model, tuple(layout["categorical"]), int(layout["width"]))


@dataclass(frozen=True)
class Binned:
    """A quantised Pool and how its columns came about."""

    pool: catboost.Pool
    categorical: tuple[int, ...]
    width: int


def _model_order(width: int, categorical: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Columns as CatBoost sees them: numbers first, then categories."""
    numbers = np.setdiff1d(np.arange(width), categorical)
    return np.concatenate([numbers, np.asarray(categorical, dtype=np.int64)])


def _columns(values: Values, categorical: tuple[int, ...], names: tuple[str, ...] | None) -> Any:
    """The rows in the form CatBoost takes fastest: float32 and, beside it, categories as text."""
    if not categorical:
        return catboost.FeaturesData(num_feature_data=np.ascontiguousarray(values), num_feature_names=_listed(names))
    order = _model_order(values.shape[1], categorical)
    split = values.shape[1] - len(categorical)
    codes = values[:, order[split:]]
    known = ~np.isnan(codes)
    # One text per distinct code, then an index into them: text is slow to make and there are few codes.
    texts = np.empty(codes.shape, dtype=object)
    texts[~known] = b"missing"
    distinct, place = np.unique(codes[known], return_inverse=True)
    texts[known] = np.array([str(int(code)).encode() for code in distinct], dtype=object)[place]
    return catboost.FeaturesData(
        num_feature_data=np.ascontiguousarray(values[:, order[:split]]) if split else None,
        cat_feature_data=texts,
        num_feature_names=_listed(None if names is None else [names[i] for i in order[:split]]),
        cat_feature_names=_listed(None if names is None else [names[i] for i in order[split:]]),
    )


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)
