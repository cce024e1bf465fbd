"""CatBoost; models as cbm.

Defaults are the public parameter set that Table 2 of the FusionNetX paper rounds and shortens; both train on a GPU, and
`auto` uses one where there is one. `subsample` needs a bootstrap that samples, as a GPU's default does not. 128 borders
are a GPU's default, given so that a CPU does the same (its own 254 take 1.4 times as long). CatBoost accepts
min_data_in_leaf for its symmetric trees and ignores it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import atomic
from tabular.learners.adapting import model_bytes, refusal, shares
from tabular.learners.learner import Defaults, Floats, Learner, Model, Rows, Settings, Values
from tabular.learners.search_space import SearchSpace, Value
from tabular.model_files.catboost_cbm import check, vouch_for

if TYPE_CHECKING:
    import catboost

LAYOUT = "fusionnetx_columns"
"""Key of the model's own notes: how many columns there are, and which are categories."""
BINNING = frozenset({"border_count", "feature_border_type", "nan_mode"})


class CatBoostModel(Model):
    """A CatBoost model.

    CatBoost takes categories as text beside the numbers, so its columns are the numbers first, then the categories.
    """

    def __init__(self, model: "catboost.CatBoost", categorical: tuple[int, ...], width: int) -> None:
        self.model = model
        self.trees = int(model.tree_count_)
        self.categorical = categorical
        self.width = width

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        table = library_columns(values, self.categorical, None)
        columns = np.asarray(
            self.model.predict(table, prediction_type="Probability", thread_count=threads), dtype=np.float64
        )
        return columns[:, 1] if columns.shape[1] == 2 else columns

    def importance(self) -> Floats:
        """Share of each column in the changes of the prediction (CatBoost keeps no gains)."""
        in_model_order = np.asarray(self.model.get_feature_importance(type="PredictionValuesChange"))
        result = np.zeros(self.width)
        result[model_order(self.width, self.categorical)] = in_model_order
        return shares(result)

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP by CatBoost, put back into the order of the columns."""
        import catboost

        pool = catboost.Pool(library_columns(values, self.categorical, None), thread_count=threads)
        found = self.model.get_feature_importance(data=pool, type="ShapValues", thread_count=threads)
        in_model_order = np.asarray(found, dtype=np.float64)
        result = np.empty_like(in_model_order)
        result[..., model_order(self.width, self.categorical)] = in_model_order[..., :-1]
        result[..., -1] = in_model_order[..., -1]
        return result

    def save(self, path: Path) -> None:
        """Write cbm, with the place of the categories and without date and random identifier."""
        metadata = self.model.get_metadata()
        metadata[LAYOUT] = json.dumps({"categorical": self.categorical, "width": self.width})
        metadata["train_finish_time"] = ""
        metadata["model_guid"] = ""
        # Written by Python: on a full disk CatBoost 1.2's own save_model leaves half a file and says nothing.
        whole = self.model._serialize_model()
        with atomic(path) as temporary:
            temporary.write_bytes(whole)
        vouch_for(whole)


@dataclass(frozen=True)
class Binned:
    """A quantised Pool and how its columns came about."""

    pool: "catboost.Pool"
    categorical: tuple[int, ...]
    width: int


def bin(rows: Rows, settings: Settings) -> Binned:
    """A quantised Pool, with what it takes to give later rows the same columns."""
    import catboost

    pool = pool_of(rows, settings)
    given = {name: settings.parameters[name] for name in BINNING if name in settings.parameters}
    try:
        pool.quantize(**given, task_type="GPU" if settings.device == "gpu" else "CPU", random_seed=1)
    except catboost.CatBoostError as error:
        raise refusal("CatBoost", error) from error
    return Binned(pool, rows.categorical, len(rows.names))


def bin_watched(rows: Rows, settings: Settings, training: Binned) -> Any:
    """A Pool that CatBoost puts into the bins of the training data by itself."""
    return pool_of(rows, settings)


def pool_of(rows: Rows, settings: Settings) -> Any:
    """Rows with their answers and weights."""
    import catboost

    return catboost.Pool(
        library_columns(rows.values, rows.categorical, rows.names),
        label=rows.target,
        weight=rows.weight,
        thread_count=settings.threads,
    )


def fit(training: Binned, settings: Settings, watched: Any = None, patience: int = 0) -> CatBoostModel:
    """Train; after early stopping CatBoost keeps the rounds up to the best."""
    import catboost

    binary = settings.classes == 2
    model = catboost.CatBoost(
        {
            **{name: value for name, value in settings.parameters.items() if name not in BINNING},
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
    return CatBoostModel(model, training.categorical, training.width)


def load(path: Path, columns: int, classes: int) -> CatBoostModel:
    """Read cbm, tried in another process first: CatBoost ends the whole process over some damaged files."""
    import catboost

    whole = model_bytes("CatBoost", path)
    check(whole, path)
    try:
        model = opened(whole)
        fits = model.width == columns
        if fits:
            fits = model.predict(np.zeros((1, columns), np.float32)).shape == ((1,) if classes == 2 else (1, classes))
    except (catboost.CatBoostError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a CatBoost model of this project; train the member again") from error
    if not fits:
        raise DataError(
            f"{path} is not a CatBoost model of {columns} columns and {classes} classes; train the member again"
        )
    return model


def opened(whole: bytes) -> CatBoostModel:
    """A model out of bytes, which may end the process."""
    import catboost

    model = catboost.CatBoost()
    model.load_model(blob=whole)
    categorical, width = layout(model.get_metadata()[LAYOUT])
    if len(model.feature_names_) != width or len(model._get_cat_feature_indices()) != len(categorical):
        raise ValueError("its columns are not those of its layout")
    return CatBoostModel(model, categorical, width)


def layout(text: str) -> tuple[tuple[int, ...], int]:
    """Which columns are categories, and how many columns there are; ValueError when it cannot be so."""
    told = json.loads(text)
    categorical, width = tuple(told["categorical"]), told["width"]
    if not all(type(number) is int and 0 <= number < width for number in categorical) or list(categorical) != sorted(
        set(categorical)
    ):
        raise ValueError("the places of the categories are not places of columns")
    return categorical, width


def model_order(width: int, categorical: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Columns as CatBoost sees them: numbers first, then categories."""
    numbers = np.setdiff1d(np.arange(width), categorical)
    return np.concatenate([numbers, np.asarray(categorical, dtype=np.int64)])


def library_columns(values: Values, categorical: tuple[int, ...], names: tuple[str, ...] | None) -> Any:
    """The rows in the form CatBoost takes fastest: float32 and, beside it, categories as text."""
    import catboost

    if not categorical:
        return catboost.FeaturesData(num_feature_data=np.ascontiguousarray(values), num_feature_names=listed(names))
    order = model_order(values.shape[1], categorical)
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
        num_feature_names=listed(None if names is None else [names[i] for i in order[:split]]),
        cat_feature_names=listed(None if names is None else [names[i] for i in order[split:]]),
    )


def listed(names: Sequence[str] | None) -> list[str] | None:
    """Names as a list."""
    return None if names is None else list(names)


def without_effect(parameters: Mapping[str, Value]) -> list[str]:
    """What CatBoost's symmetric trees take and ignore."""
    if "min_data_in_leaf" not in parameters or parameters.get("grow_policy", "SymmetricTree") != "SymmetricTree":
        return []
    return ["min_data_in_leaf has no effect on CatBoost's symmetric trees; set grow_policy = 'Depthwise' to use it"]


KNOWN = """
bagging_temperature boost_from_average boosting_type bootstrap_type border_count depth diffusion_temperature
feature_border_type fold_len_multiplier grow_policy l2_leaf_reg langevin leaf_estimation_iterations
leaf_estimation_method learning_rate max_ctr_complexity max_leaves min_data_in_leaf model_shrink_mode model_shrink_rate
model_size_reg mvs_reg nan_mode one_hot_max_size random_strength rsm sampling_frequency scale_pos_weight
score_function subsample
"""

TABLE_TWO: Mapping[str, Value] = MappingProxyType(
    {
        "learning_rate": 0.06936,
        "depth": 7,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.6249,
        "min_data_in_leaf": 24,
        "border_count": 128,
        "scale_pos_weight": 2.6149,
    }
)
"""As printed."""

PUBLISHED = MappingProxyType({**TABLE_TWO, "l2_leaf_reg": 6.2161})
"""The whole set."""

LEARNER = Learner(
    name="catboost",
    suffix=".cbm",
    defaults=Defaults(iterations=250, device="auto", parameters=PUBLISHED),
    table_two=TABLE_TWO,
    known=frozenset(KNOWN.split()),
    aliases=MappingProxyType(
        {
            "colsample_bylevel": "rsm",
            "eta": "learning_rate",
            "max_bin": "border_count",
            "max_depth": "depth",
            "min_child_samples": "min_data_in_leaf",
            "num_leaves": "max_leaves",
            "reg_lambda": "l2_leaf_reg",
        }
    ),
    search_space=MappingProxyType(
        {
            "learning_rate": SearchSpace(low=0.01, high=0.2, log=True),
            "scale_pos_weight": SearchSpace(low=1.0, high=10.0, log=True),
            "iterations": SearchSpace(low=100, high=500, log=True),
            "depth": SearchSpace(low=4, high=9),
            "subsample": SearchSpace(low=0.4, high=1.0),
        }
    ),
    cost=3.0,
    gpu="cuda",
    explains=True,
    without_effect=without_effect,
    binning=BINNING,
    bin=bin,
    bin_watched=bin_watched,
    fit=fit,
    fit_watched=fit,
    load=load,
)
