"""XGBoost behind the booster protocol; models as UBJ (binary JSON)."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xgboost as xgb

from data.errors import DataError
from data.files import atomic
from tabular.learners.learner import Floats, Rows, Settings, Values, plain_names, refusal, shares


class XGBoostBooster:
    """An XGBoost model."""

    suffix: ClassVar[str] = ".ubj"
    binning: ClassVar[frozenset[str]] = frozenset({"max_bin"})

    def __init__(self, model: xgb.Booster) -> None:
        # Trained wherever, it predicts on the CPU, where the rows are.
        model.set_param({"device": "cpu"})
        self.model = model
        self.trees = int(model.num_boosted_rounds())

    @classmethod
    def bin(cls, rows: Rows, settings: Settings) -> Any:
        """A QuantileDMatrix: the bins alone, a quarter of the memory of the float32 rows."""
        return cls._quantiles(rows, settings, None)

    @classmethod
    def bin_watched(cls, rows: Rows, settings: Settings, training: Any) -> Any:
        """A QuantileDMatrix in the bins of the training data."""
        return cls._quantiles(rows, settings, training)

    @classmethod
    def _quantiles(cls, rows: Rows, settings: Settings, reference: Any) -> Any:
        maximum = settings.parameters.get("max_bin")
        kinds = ["q"] * len(rows.names)
        for column in rows.categorical:
            kinds[column] = "c"
        try:
            return xgb.QuantileDMatrix(
                rows.values,
                label=rows.target,
                weight=rows.weight,
                feature_names=plain_names(rows.names),
                feature_types=kinds,
                enable_categorical=True,
                max_bin=None if maximum is None else int(maximum),
                ref=reference,
                nthread=settings.threads,
            )
        except (xgb.core.XGBoostError, ValueError) as error:
            raise refusal("XGBoost", error) from error

    @classmethod
    def fit(cls, training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> Self:
        """Train; after early stopping only the rounds up to the best are kept."""
        binary = settings.classes == 2
        parameters = {
            **settings.parameters,
            "objective": "binary:logistic" if binary else "multi:softprob",
            "eval_metric": "auc" if binary else "mlogloss",
            **({} if binary else {"num_class": settings.classes}),
            "tree_method": "hist",
            "device": "cuda" if settings.device == "gpu" else "cpu",
            "seed": settings.seed,
            "nthread": settings.threads,
            "verbosity": 0,
        }
        try:
            model = xgb.train(
                parameters,
                training,
                num_boost_round=settings.iterations,
                evals=[(watched, "inner")] if watched is not None else None,
                early_stopping_rounds=patience if watched is not None else None,
                verbose_eval=False,
            )
        except (xgb.core.XGBoostError, ValueError) as error:
            raise refusal("XGBoost", error) from error
        if watched is not None:
            model = model[: model.best_iteration + 1]
        return cls(model)

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        self.model.set_param({"nthread": threads})
        return np.asarray(self.model.inplace_predict(values, validate_features=False), dtype=np.float64)

    def importance(self) -> Floats:
        """Share of each column in the total gain."""
        gain = self.model.get_score(importance_type="total_gain")
        return shares([gain.get(name, 0.0) for name in self.model.feature_names or []])

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP by XGBoost."""
        self.model.set_param({"nthread": threads})
        rows = xgb.DMatrix(
            values,
            feature_names=self.model.feature_names,
            feature_types=self.model.feature_types,
            enable_categorical=True,
            nthread=threads,
        )
        return np.asarray(self.model.predict(rows, pred_contribs=True), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write UBJ, whatever the temporary file is called."""
        with atomic(path) as temporary:
            temporary.write_bytes(self.model.save_raw(raw_format="ubj"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read UBJ.

        Looked over first, because XGBoost ends the whole process on some files that are something else; the checksum in
        a member's manifest catches what this does not.
        """
        try:
            whole = path.read_bytes()
        except OSError as error:
            raise DataError(f"XGBoost model {path} cannot be read: {error.strerror}") from error
        damaged = DataError(f"{path} is not a whole XGBoost model; train the member again")
        if not whole.startswith(b"{L") or not whole.endswith(b"}"):
            raise damaged
        model = xgb.Booster()
        try:
            model.load_model(bytearray(whole))
        except (xgb.core.XGBoostError, ValueError) as error:
            raise damaged from error
        return cls(model)
