"""XGBoost; models as UBJ (binary JSON).

Defaults are the public parameter set that Table 2 of the FusionNetX paper rounds and shortens. The table prints 85
under XGBoost, which is LightGBM's least rows of a leaf; read as `min_child_weight`, a sum of Hessians, it leaves the
trees hardly a split (docs/log.md has what that costs).
"""

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import DataError
from data.files import atomic
from tabular.learners.adapting import model_bytes, plain_names, refusal, shares
from tabular.learners.learner import Defaults, Floats, Learner, Model, Rows, Settings, Values
from tabular.learners.search_space import SearchSpace
from tabular.model_files.xgboost_ubj import check

if TYPE_CHECKING:
    import xgboost as xgb


class XGBoostModel(Model):
    """An XGBoost model."""

    def __init__(self, model: "xgb.Booster") -> None:
        # Trained wherever, it predicts on the CPU, where the rows are.
        model.set_param({"device": "cpu"})
        self.model = model
        self.trees = int(model.num_boosted_rounds())

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
        import xgboost as xgb

        self.model.set_param({"nthread": threads})
        rows = xgb.DMatrix(
            values,
            feature_types=self.model.feature_types,
            enable_categorical=True,
            nthread=threads,
        )
        return np.asarray(self.model.predict(rows, pred_contribs=True, validate_features=False), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write UBJ, whatever the temporary file is called."""
        with atomic(path) as temporary:
            temporary.write_bytes(self.model.save_raw(raw_format="ubj"))


def bin(rows: Rows, settings: Settings, reference: Any = None) -> Any:
    """A QuantileDMatrix: the bins alone, a quarter of the memory of the float32 rows; with a reference, its bins."""
    import xgboost as xgb

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


def fit(training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> XGBoostModel:
    """Train; after early stopping only the rounds up to the best are kept."""
    import xgboost as xgb

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
    return XGBoostModel(model)


def load(path: Path, columns: int, classes: int) -> XGBoostModel:
    """Read UBJ, checked first: XGBoost ends the whole process over some files that are something else."""
    import xgboost as xgb

    whole = model_bytes("XGBoost", path)
    check(whole, path, columns, classes)
    model = xgb.Booster()
    try:
        model.load_model(bytearray(whole))
    except (xgb.core.XGBoostError, ValueError) as error:
        raise DataError(f"{path} is not a whole XGBoost model; train the member again") from error
    return XGBoostModel(model)


KNOWN = """
base_score booster colsample_bylevel colsample_bynode colsample_bytree gamma grow_policy learning_rate max_bin
max_cat_threshold max_cat_to_onehot max_delta_step max_depth max_leaves min_child_weight normalize_type
num_parallel_tree one_drop rate_drop reg_alpha reg_lambda sample_type sampling_method scale_pos_weight
skip_drop subsample
"""

TABLE_TWO = MappingProxyType(
    {
        "learning_rate": 0.08501,
        "max_depth": 6,
        "subsample": 0.6013,
        "colsample_bytree": 0.84378,
        "min_child_weight": 85,
        "scale_pos_weight": 3.2944,
    }
)
"""As printed."""

PUBLISHED = MappingProxyType(
    {
        **TABLE_TWO,
        "min_child_weight": 1,  # the library's own: the set names none
        "reg_lambda": 8.8796,
        "reg_alpha": 0.6780,
        "colsample_bylevel": 0.5476,
        "colsample_bynode": 0.9929,
    }
)
"""The whole set."""

LEARNER = Learner(
    name="xgboost",
    suffix=".ubj",
    defaults=Defaults(iterations=100, device="cpu", parameters=PUBLISHED),
    table_two=TABLE_TWO,
    known=frozenset(KNOWN.split()),
    aliases=MappingProxyType(
        {"alpha": "reg_alpha", "eta": "learning_rate", "lambda": "reg_lambda", "min_split_loss": "gamma"}
    ),
    search_space=MappingProxyType(
        {
            "learning_rate": SearchSpace(low=0.01, high=0.2, log=True),
            "scale_pos_weight": SearchSpace(low=1.0, high=10.0, log=True),
            "iterations": SearchSpace(low=50, high=400, log=True),
            "max_depth": SearchSpace(low=3, high=9),
            "subsample": SearchSpace(low=0.4, high=1.0),
            "colsample_bytree": SearchSpace(low=0.3, high=1.0),
            "min_child_weight": SearchSpace(low=1, high=150, log=True),
        }
    ),
    cost=1.0,
    gpu="cuda",
    explains=True,
    binning=frozenset({"max_bin"}),
    bin=bin,
    bin_watched=bin,
    fit=fit,
    fit_watched=fit,
    load=load,
)
