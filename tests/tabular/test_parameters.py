"""The tables of parameters against the installed libraries."""

import inspect

import catboost
import lightgbm
import pytest
import xgboost

from tabular.learners.learner import DECIDED_ELSEWHERE
from tabular.learners.registry import LEARNERS

DART = {"normalize_type", "one_drop", "rate_drop", "sample_type", "skip_drop"}


def test_lightgbm_knows_every_parameter_and_agrees_on_the_aliases():
    aliases = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    assert LEARNERS["lightgbm"].known <= aliases.keys()
    assert {name: alias for name, alias in LEARNERS["lightgbm"].aliases.items() if name not in aliases[alias]} == {}


def test_xgboost_knows_every_parameter():
    signature = inspect.signature(xgboost.XGBModel.__init__).parameters.keys()
    assert LEARNERS["xgboost"].known - DART <= signature


def test_catboost_knows_every_parameter_and_alias():
    signature = inspect.signature(catboost.CatBoostClassifier.__init__).parameters.keys()
    assert LEARNERS["catboost"].known <= signature
    assert LEARNERS["catboost"].aliases.keys() - {"reg_lambda"} <= signature


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=list(LEARNERS))
def test_tables_are_consistent(learner):
    assert set(learner.aliases.values()) <= learner.known
    assert not learner.aliases.keys() & learner.known
    assert not DECIDED_ELSEWHERE.keys() & (learner.known | learner.aliases.keys())
    assert learner.defaults.parameters.keys() <= learner.known
    assert learner.search_space.keys() - {"iterations"} <= learner.known


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(ValueError, match=r"xgboost has no parameter 'min_child_wieght'.*'min_child_weight'"):
        LEARNERS["xgboost"].canonical("min_child_wieght")


def test_a_parameter_with_a_key_of_its_own_is_refused():
    with pytest.raises(ValueError, match="n_estimators is set by the key 'iterations'"):
        LEARNERS["lightgbm"].canonical("n_estimators")


def test_two_spellings_of_one_parameter_are_refused():
    with pytest.raises(ValueError, match="two spellings"):
        LEARNERS["lightgbm"].canonical_parameters({"subsample": 0.5, "bagging_fraction": 0.6})


@pytest.mark.parametrize(
    ("booster", "parameters", "word"),
    [
        ("lightgbm", {"max_depth": 4, "num_leaves": 103}, "capped at 16"),
        ("lightgbm", {"max_depth": 4}, "capped at 16"),
        ("lightgbm", {"bagging_fraction": 0.5}, "bagging_freq"),
        ("catboost", {"min_data_in_leaf": 24}, "symmetric"),
    ],
)
def test_parameters_without_effect_are_named(booster, parameters, word):
    (note,) = LEARNERS[booster].without_effect(parameters)
    assert word in note


def test_parameters_with_effect_are_not_named():
    notes = {name: LEARNERS[name].without_effect for name in LEARNERS}
    assert notes["lightgbm"]({"max_depth": -1, "num_leaves": 103, "bagging_fraction": 0.5, "bagging_freq": 1}) == []
    assert notes["catboost"]({"min_data_in_leaf": 24, "grow_policy": "Depthwise"}) == []
    assert notes["xgboost"](dict(LEARNERS["xgboost"].defaults.parameters)) == []


def test_the_notes_are_true(table):
    """A library version in which these parameters do something must fail here."""
    rows, label = table.matrix.values[:, [0, 1, 3, 4, 5]], table.target

    def catboost_with(**changed):
        options = {"iterations": 5, "logging_level": "Silent", "allow_writing_files": False, "thread_count": 1}
        model = catboost.CatBoost({"loss_function": "Logloss", **options, **changed})
        return model.fit(catboost.Pool(rows, label)).predict(rows).tolist()

    assert catboost_with(min_data_in_leaf=1) == catboost_with(min_data_in_leaf=200)
    assert catboost_with(min_data_in_leaf=1, grow_policy="Depthwise") != catboost_with(
        min_data_in_leaf=200, grow_policy="Depthwise"
    )

    def lightgbm_with(**changed):
        dataset = lightgbm.Dataset(rows, label)
        options = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1}
        return lightgbm.train({**options, **changed}, dataset, 5).predict(rows).tolist()

    assert lightgbm_with(max_depth=3, num_leaves=103) == lightgbm_with(max_depth=3, num_leaves=8)
    assert lightgbm_with(max_depth=-1, num_leaves=103) != lightgbm_with(max_depth=-1, num_leaves=8)
