import numpy as np
import pytest

from data.scores.scores import auc
from tabular.learners.learner import Rows
from tabular.learners.registry import LEARNERS
from tests.tabular.boosters.shared import QUICK, every_booster, fit, rows_of, settings_of


@every_booster
def test_it_learns(booster, table):
    model = fit(booster, rows_of(table, table.train_rows))
    probability = model.predict(table.matrix.values[table.held_out_rows])
    assert probability.dtype == np.float64
    assert probability.shape == table.held_out_rows.shape
    assert 0 <= probability.min() <= probability.max() <= 1
    assert auc(table.target[table.held_out_rows], probability) > 0.85
    assert model.trees == 25


@every_booster
def test_a_saved_model_predicts_the_same(booster, table, tmp_path):
    model = fit(booster, rows_of(table))
    path = tmp_path / f"model{LEARNERS[booster].suffix}"
    model.save(path)
    loaded = LEARNERS[booster].load(path, 7, 2)
    np.testing.assert_array_equal(loaded.predict(table.matrix.values), model.predict(table.matrix.values))
    np.testing.assert_allclose(loaded.importance(), model.importance(), rtol=1e-6)
    assert loaded.trees == model.trees
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@every_booster
def test_the_same_training_writes_the_same_bytes(booster, table, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        changed = {"parameters": {**QUICK[booster], "feature_fraction": 0.5}} if booster == "lightgbm" else {}
        fit(booster, rows_of(table), seed=seed, **changed).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


@every_booster
def test_the_number_of_threads_does_not_change_the_model(booster, table, tmp_path):
    for threads in (1, 2):
        fit(booster, rows_of(table), threads=threads).save(tmp_path / str(threads))
    one, two = (LEARNERS[booster].load(tmp_path / str(threads), 7, 2) for threads in (1, 2))
    np.testing.assert_allclose(one.predict(table.matrix.values), two.predict(table.matrix.values), rtol=1e-6)
    if booster == "lightgbm":
        assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@every_booster
def test_binned_data_serves_many_trainings(booster, table):
    library = LEARNERS[booster]
    binned = library.bin(rows_of(table), settings_of(booster))
    other = {"learning_rate": 0.05, **({"min_data_in_leaf": 40} if booster == "lightgbm" else {})}
    changed = settings_of(booster, parameters={**QUICK[booster], **other}, iterations=10, seed=9)
    library.fit(binned, settings_of(booster))
    reused = library.fit(binned, changed).predict(table.matrix.values)
    fresh = library.fit(library.bin(rows_of(table), changed), changed).predict(table.matrix.values)
    np.testing.assert_array_equal(reused, fresh)


@every_booster
def test_every_binning_parameter_is_one_the_recipe_may_set(booster):
    assert LEARNERS[booster].binning <= LEARNERS[booster].known


@every_booster
def test_importance_finds_the_columns_that_decide(booster, table):
    importance = fit(booster, rows_of(table)).importance()
    assert importance.shape == (7,)
    assert importance.sum() == pytest.approx(1.0)
    assert set(np.argsort(-importance)[:3]) == {0, 2, 5}


@every_booster
def test_categories_are_not_numbers(booster):
    """Codes 0 and 2 against 1 and 3: one split of a category, three of a number."""
    code = np.tile(np.arange(4, dtype=np.float32), 100)
    values, target = np.column_stack([code, np.zeros_like(code)]), (code % 2).astype(np.int64)
    stump = {
        "lightgbm": {
            "max_depth": 1,
            "min_data_in_leaf": 1,
            "min_data_per_group": 1,
            "cat_smooth": 1,
            "max_cat_to_onehot": 1,
        },
        "xgboost": {"max_depth": 1, "max_cat_to_onehot": 1},
        "catboost": {"depth": 1, "one_hot_max_size": 2},
    }
    for categorical, separable in (((0,), True), ((), False)):
        rows = Rows(values, target, ("site", "nothing"), categorical)
        model = fit(booster, rows, parameters={**stump[booster], "learning_rate": 1.0}, iterations=1)
        probability = model.predict(values)
        assert (auc(target, probability) > 0.99) == separable, (categorical, probability[:4])


@every_booster
def test_unseen_and_missing_categories_get_a_probability(booster, table):
    model = fit(booster, rows_of(table))
    strange = table.matrix.values[:5].copy()
    strange[:, 2] = [np.nan, 4, 17, 0, 1]
    assert np.isfinite(model.predict(strange)).all()


@every_booster
def test_weights_count_as_repeats(booster):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5, (200, 2)).astype(np.float32)
    target = (values[:, 0] + rng.normal(size=200) > 3).astype(np.int64)
    weight = np.where(target == 1, 3.0, 1.0)
    repeats = np.repeat(np.arange(200), weight.astype(int))
    # CatBoost scales its L2 penalty by the mean weight, so that would differ.
    no_penalty = {"bootstrap_type": "No", "random_strength": 0, "boost_from_average": False, "l2_leaf_reg": 1e-9}
    plain = {
        "lightgbm": {"min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 1.0},
        "xgboost": {"base_score": 0.5},
        "catboost": {"depth": 2, **no_penalty},
    }[booster]
    by_weight = fit(booster, Rows(values, target, ("a", "b"), (), weight), parameters=plain, iterations=3)
    by_repeat = fit(booster, Rows(values[repeats], target[repeats], ("a", "b")), parameters=plain, iterations=3)
    np.testing.assert_allclose(by_weight.predict(values), by_repeat.predict(values), rtol=1e-4)
