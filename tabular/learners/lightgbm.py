"""LightGBM; models as LightGBM's text.

Defaults are the public parameter set that Table 2 of the FusionNetX paper rounds and shortens. 103 leaves have no
effect: a tree of depth 4 has at most 16, and LightGBM caps num_leaves there. Both are silent on bins: borders found on
20,000 rows, not the library's 200,000, take half the time (docs/log.md).
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import DataError
from data.files import atomic
from tabular.learners.adapting import model_bytes, plain_names, refusal, shares
from tabular.learners.learner import Defaults, Floats, Learner, Model, Rows, Settings, Values
from tabular.learners.search_space import SearchSpace, Value
from tabular.model_files.lightgbm_text import check

if TYPE_CHECKING:
    import lightgbm as lgb

BINNING = frozenset(
    {"max_bin", "min_data_in_bin", "bin_construct_sample_cnt", "enable_bundle", "use_missing", "zero_as_missing",
     "linear_tree"}
)  # fmt: skip
FIXED_BINNING = frozenset({"feature_pre_filter", "data_random_seed", "verbosity", "num_threads", "device_type"})


class LightGBMModel(Model):
    """A LightGBM model."""

    def __init__(self, model: "lgb.Booster") -> None:
        self.model = model
        self.trees = int(model.current_iteration())

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        return np.asarray(self.model.predict(values, num_threads=threads), dtype=np.float64)

    def importance(self) -> Floats:
        """Share of each column in the total gain."""
        return shares(self.model.feature_importance("gain"))

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP by LightGBM, which puts the classes side by side in one row."""
        found = np.asarray(self.model.predict(values, pred_contrib=True, num_threads=threads), dtype=np.float64)
        width = values.shape[1] + 1
        return found if found.shape[1] == width else found.reshape(len(values), -1, width)

    def save(self, path: Path) -> None:
        """Write LightGBM's text, without the number of threads, which does not change the model."""
        text = self.model.model_to_string(num_iteration=-1)
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith("[num_threads:")]
        with atomic(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def bin(rows: Rows, settings: Settings, reference: Any = None) -> Any:
    """A constructed Dataset, without the arrays it came from; with a reference, in the bins of that one."""
    import lightgbm as lgb

    dataset = lgb.Dataset(
        rows.values,
        label=rows.target,
        weight=rows.weight,
        reference=reference,
        feature_name=plain_names(rows.names),
        categorical_feature=list(rows.categorical),
        params={k: v for k, v in library_parameters(settings).items() if k in BINNING or k in FIXED_BINNING},
        free_raw_data=True,
    )
    try:
        return dataset.construct()
    except lgb.basic.LightGBMError as error:
        raise refusal("LightGBM", error) from error


def fit(training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> LightGBMModel:
    """Train; after early stopping only the rounds up to the best are kept."""
    import lightgbm as lgb

    callbacks: list[Any] = [lgb.early_stopping(patience, verbose=False)] if watched is not None else []
    try:
        model = lgb.train(
            library_parameters(settings),
            training,
            num_boost_round=settings.iterations,
            valid_sets=[watched] if watched is not None else None,
            callbacks=callbacks,
        )
    except lgb.basic.LightGBMError as error:
        raise refusal("LightGBM", error) from error
    if watched is not None and 0 < model.best_iteration < model.current_iteration():
        model = lgb.Booster(model_str=model.model_to_string(num_iteration=model.best_iteration))
    return LightGBMModel(model)


def load(path: Path, columns: int, classes: int) -> LightGBMModel:
    """Read LightGBM's text, checked first: LightGBM ends the whole process over many damaged files."""
    import lightgbm as lgb

    text = model_bytes("LightGBM", path)
    check(text, path, columns, classes)
    try:
        return LightGBMModel(lgb.Booster(model_str=text.decode("utf-8")))
    except (lgb.basic.LightGBMError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"LightGBM model {path} is damaged: {error}; train the member again") from error


def library_parameters(settings: Settings) -> dict[str, Any]:
    """Everything LightGBM is told."""
    binary = settings.classes == 2
    return {
        **settings.parameters,
        "objective": "binary" if binary else "multiclass",
        "metric": "auc" if binary else "multi_logloss",
        **({} if binary else {"num_class": settings.classes}),
        "seed": settings.seed,
        "num_threads": settings.threads,
        "device_type": "gpu" if settings.device == "gpu" else "cpu",
        "deterministic": True,
        # Deterministic training needs one of two layouts; by column is a quarter faster on 97,000 rows x 300 columns.
        "force_col_wise": True,
        # Without these two, min_data_in_leaf and the seed would change the bins, and tuning could not share them.
        "feature_pre_filter": False,
        "data_random_seed": 1,
        "verbosity": -1,
    }


def without_effect(parameters: Mapping[str, Value]) -> list[str]:
    """Leaves beyond what the depth allows, and a bagging share that is never drawn."""
    notes = []
    depth, leaves = parameters.get("max_depth", -1), parameters.get("num_leaves", 31)
    if isinstance(depth, int) and isinstance(leaves, int) and depth > 0 and leaves > 2**depth:
        notes.append(f"num_leaves = {leaves} is capped at {2**depth} by max_depth = {depth}")
    if parameters.get("bagging_fraction", 1) != 1 and not parameters.get("bagging_freq"):
        notes.append("bagging_fraction has no effect while bagging_freq is 0")
    return notes


KNOWN = """
bagging_fraction bagging_freq bin_construct_sample_cnt boost_from_average boosting cat_l2 cat_smooth
cegb_penalty_split cegb_tradeoff data_sample_strategy drop_rate enable_bundle extra_trees feature_fraction
feature_fraction_bynode lambda_l1 lambda_l2 learning_rate linear_lambda linear_tree max_bin max_cat_threshold
max_cat_to_onehot max_delta_step max_depth max_drop min_data_in_bin min_data_in_leaf min_data_per_group
min_gain_to_split min_sum_hessian_in_leaf neg_bagging_fraction
num_grad_quant_bins num_leaves other_rate path_smooth pos_bagging_fraction
quant_train_renew_leaf scale_pos_weight skip_drop stochastic_rounding top_rate uniform_drop use_missing
use_quantized_grad xgboost_dart_mode zero_as_missing
"""

TABLE_TWO = MappingProxyType(
    {
        "learning_rate": 0.03231,
        "max_depth": 4,
        "num_leaves": 103,
        "feature_fraction": 0.83296,
        "min_data_in_leaf": 85,
        "scale_pos_weight": 2.7984,
        "bin_construct_sample_cnt": 20_000,
    }
)
"""As printed; what an earlier version took where a recipe was silent."""

PUBLISHED = MappingProxyType(
    {
        **TABLE_TWO,
        "lambda_l1": 0.0876,
        "lambda_l2": 0.00397,
        "feature_fraction_bynode": 0.4026,
        "bagging_fraction": 0.7739,
        "bagging_freq": 4,
    }
)
"""The whole set."""

LEARNER = Learner(
    name="lightgbm",
    suffix=".txt",
    defaults=Defaults(iterations=200, device="cpu", parameters=PUBLISHED),
    table_two=TABLE_TWO,
    known=frozenset(KNOWN.split()),
    aliases=MappingProxyType(
        {
            "colsample_bytree": "feature_fraction",
            "eta": "learning_rate",
            "min_child_samples": "min_data_in_leaf",
            "min_child_weight": "min_sum_hessian_in_leaf",
            "min_split_gain": "min_gain_to_split",
            "reg_alpha": "lambda_l1",
            "reg_lambda": "lambda_l2",
            "subsample": "bagging_fraction",
            "subsample_freq": "bagging_freq",
        }
    ),
    search_space=MappingProxyType(
        {
            "learning_rate": SearchSpace(low=0.01, high=0.2, log=True),
            "scale_pos_weight": SearchSpace(low=1.0, high=10.0, log=True),
            "iterations": SearchSpace(low=100, high=600, log=True),
            "max_depth": SearchSpace(low=3, high=9),
            "num_leaves": SearchSpace(low=8, high=256, log=True),
            "feature_fraction": SearchSpace(low=0.3, high=1.0),
            "min_data_in_leaf": SearchSpace(low=5, high=300, log=True),
        }
    ),
    cost=2.0,
    gpu="opencl",  # Its published packages gain nothing from it at these sizes, so `auto` stays on the CPU.
    explains=True,
    without_effect=without_effect,
    binning=BINNING,
    bin=bin,
    bin_watched=bin,
    fit=fit,
    fit_watched=fit,
    load=load,
)
