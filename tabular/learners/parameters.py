"""Which parameters a recipe may give each booster, and the values of Table 2 of the FusionNetX paper.

Kept as plain tables so that reading a recipe loads no booster library; a test compares them with the installed ones.
What the adapters decide themselves (objective, seed, threads, device, iterations) is refused with the key to use.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

BoosterName = Literal["lightgbm", "xgboost", "catboost"]
Device = Literal["cpu", "gpu", "auto"]
Value = bool | int | float | str


@dataclass(frozen=True)
class Defaults:
    """What a member starts from when its recipe is silent."""

    iterations: int
    device: Device
    parameters: Mapping[str, Value]


TABLE_TWO: Mapping[BoosterName, Defaults] = MappingProxyType(
    {
        # 103 leaves have no effect: a tree of depth 4 has at most 16, and LightGBM caps num_leaves there. The paper is
        # silent on bins: borders found on 20,000 rows, not the library's 200,000, take half the time (docs/log.md).
        "lightgbm": Defaults(
            iterations=200,
            device="cpu",
            parameters=MappingProxyType(
                {
                    "learning_rate": 0.03231,
                    "max_depth": 4,
                    "num_leaves": 103,
                    "feature_fraction": 0.83296,
                    "min_data_in_leaf": 85,
                    "scale_pos_weight": 2.7984,
                    "bin_construct_sample_cnt": 20_000,
                }
            ),
        ),
        "xgboost": Defaults(
            iterations=100,
            device="cpu",
            parameters=MappingProxyType(
                {
                    "learning_rate": 0.08501,
                    "max_depth": 6,
                    "subsample": 0.6013,
                    "colsample_bytree": 0.84378,
                    "min_child_weight": 85,
                    "scale_pos_weight": 3.2944,
                }
            ),
        ),
        # The paper trains on a GPU; `auto` uses one where there is one. `subsample` needs a bootstrap that samples, as
        # a GPU's default does not. 128 borders are a GPU's default, given so that a CPU does the same (its own 254
        # take 1.4 times as long). CatBoost accepts min_data_in_leaf for its symmetric trees and ignores it.
        "catboost": Defaults(
            iterations=250,
            device="auto",
            parameters=MappingProxyType(
                {
                    "learning_rate": 0.06936,
                    "depth": 7,
                    "bootstrap_type": "Bernoulli",
                    "subsample": 0.6249,
                    "min_data_in_leaf": 24,
                    "border_count": 128,
                    "scale_pos_weight": 2.6149,
                }
            ),
        ),
    }
)

LIGHTGBM = """
bagging_fraction bagging_freq bin_construct_sample_cnt boost_from_average boosting cat_l2 cat_smooth
cegb_penalty_split cegb_tradeoff data_sample_strategy drop_rate enable_bundle extra_trees feature_fraction
feature_fraction_bynode lambda_l1 lambda_l2 learning_rate linear_lambda linear_tree max_bin max_cat_threshold
max_cat_to_onehot max_delta_step max_depth max_drop min_data_in_bin min_data_in_leaf min_data_per_group
min_gain_to_split min_sum_hessian_in_leaf neg_bagging_fraction
num_grad_quant_bins num_leaves other_rate path_smooth pos_bagging_fraction
quant_train_renew_leaf scale_pos_weight skip_drop stochastic_rounding top_rate uniform_drop use_missing
use_quantized_grad xgboost_dart_mode zero_as_missing
"""
XGBOOST = """
base_score booster colsample_bylevel colsample_bynode colsample_bytree gamma grow_policy learning_rate max_bin
max_cat_threshold max_cat_to_onehot max_delta_step max_depth max_leaves min_child_weight normalize_type
num_parallel_tree one_drop rate_drop reg_alpha reg_lambda sample_type sampling_method scale_pos_weight
skip_drop subsample
"""
CATBOOST = """
bagging_temperature boost_from_average boosting_type bootstrap_type border_count depth diffusion_temperature
feature_border_type fold_len_multiplier grow_policy l2_leaf_reg langevin leaf_estimation_iterations
leaf_estimation_method learning_rate max_ctr_complexity max_leaves min_data_in_leaf model_shrink_mode model_shrink_rate
model_size_reg mvs_reg nan_mode one_hot_max_size random_strength rsm sampling_frequency scale_pos_weight
score_function subsample
"""
KNOWN: Mapping[BoosterName, frozenset[str]] = MappingProxyType(
    {
        "lightgbm": frozenset(LIGHTGBM.split()),
        "xgboost": frozenset(XGBOOST.split()),
        "catboost": frozenset(CATBOOST.split()),
    }
)

ALIASES: Mapping[BoosterName, Mapping[str, str]] = MappingProxyType(
    {
        "lightgbm": MappingProxyType(
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
        "xgboost": MappingProxyType(
            {"alpha": "reg_alpha", "eta": "learning_rate", "lambda": "reg_lambda", "min_split_loss": "gamma"}
        ),
        "catboost": MappingProxyType(
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
    }
)
"""Other spellings, turned into one, so that a recipe and Table 2 never set the same thing twice."""

DECIDED_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("n_estimators", "num_iterations", "num_boost_round", "num_trees", "iterations"), "iterations"),
        **dict.fromkeys(("seed", "random_seed", "random_state"), "seeds"),
        **dict.fromkeys(("device", "device_type", "task_type", "tree_method"), "device"),
        **dict.fromkeys(("early_stopping_round", "early_stopping_rounds", "od_wait"), "early_stopping"),
        **dict.fromkeys(("class_weights", "auto_class_weights", "is_unbalance"), "tabular.resample.method"),
    }
)


def canonical(booster: BoosterName, name: str) -> str:
    """The one spelling of a parameter; a ValueError names the nearest known one."""
    if name in DECIDED_ELSEWHERE:
        raise ValueError(f"{name} is set by the key {DECIDED_ELSEWHERE[name]!r}, not among the parameters")
    spelling = ALIASES[booster].get(name, name)
    if spelling not in KNOWN[booster]:
        match = difflib.get_close_matches(name, [*KNOWN[booster], *ALIASES[booster]], n=1, cutoff=0.5)
        hint = f"; did you mean {match[0]!r}?" if match else ""
        raise ValueError(f"{booster} has no parameter {name!r} that a recipe may set{hint}")
    return spelling


def canonical_parameters(booster: BoosterName, given: Mapping[str, Value]) -> dict[str, Value]:
    """All parameters under their one spelling; giving the same one twice is refused."""
    result: dict[str, Value] = {}
    for name, value in given.items():
        spelling = canonical(booster, name)
        if spelling in result:
            raise ValueError(f"{name} and {spelling} are two spellings of one {booster} parameter; keep one")
        result[spelling] = value
    return result


def without_effect(booster: BoosterName, parameters: Mapping[str, Value]) -> list[str]:
    """Parameters that the installed library takes and then ignores, each in one sentence for the report."""
    notes = []
    depth, leaves = parameters.get("max_depth", -1), parameters.get("num_leaves", 31)
    if booster == "lightgbm" and isinstance(depth, int) and isinstance(leaves, int) and depth > 0 and leaves > 2**depth:
        notes.append(f"num_leaves = {leaves} is capped at {2**depth} by max_depth = {depth}")
    if booster == "lightgbm" and parameters.get("bagging_fraction", 1) != 1 and not parameters.get("bagging_freq"):
        notes.append("bagging_fraction has no effect while bagging_freq is 0")
    symmetric = parameters.get("grow_policy", "SymmetricTree") == "SymmetricTree"
    if booster == "catboost" and "min_data_in_leaf" in parameters and symmetric:
        notes.append(
            "min_data_in_leaf has no effect on CatBoost's symmetric trees; set grow_policy = 'Depthwise' to use it"
        )
    return notes
