"""What the tests of this folder share."""

from dataclasses import replace

import pytest

from tabular.learners.learner import Rows, Settings
from tabular.learners.registry import LEARNERS

BOOSTERS = [name for name in LEARNERS if LEARNERS[name].stops_early]


every_booster = pytest.mark.parametrize("booster", BOOSTERS)


QUICK = {
    "lightgbm": {"learning_rate": 0.2, "min_data_in_leaf": 10},
    "xgboost": {"learning_rate": 0.2, "min_child_weight": 1, "subsample": 0.8},
    "catboost": {"learning_rate": 0.2, "depth": 4, "bootstrap_type": "Bernoulli", "subsample": 0.8},
}


def settings_of(booster: str, **changed) -> Settings:
    return replace(Settings(QUICK[booster], iterations=25), **changed)


def rows_of(table, rows=slice(None), **changed) -> Rows:
    whole = Rows(table.matrix.values[rows], table.target[rows], table.matrix.names, table.matrix.categorical)
    return replace(whole, **changed)


def fit(booster: str, rows: Rows, **changed):
    library, settings = LEARNERS[booster], settings_of(booster, **changed)
    return library.fit(library.bin(rows, settings), settings)
