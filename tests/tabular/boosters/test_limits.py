from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError, TrainingError
from data.scores.scores import auc
from tabular.learners import adapting
from tabular.learners.adapting import plain_names, shares, usable_device
from tabular.learners.learner import Rows
from tabular.learners.registry import LEARNERS
from tests.tabular.boosters.shared import BOOSTERS, QUICK, every_booster, fit, rows_of, settings_of


@every_booster
def test_early_stopping_keeps_the_best_rounds(booster, table):
    library = LEARNERS[booster]
    settings = settings_of(booster, iterations=150, parameters={**QUICK[booster], "learning_rate": 0.4})
    training = library.bin(rows_of(table, table.train_rows), settings)
    natural = rows_of(table, table.held_out_rows)
    watched = library.bin_watched(natural, settings, training)
    model = library.fit_watched(training, settings, watched, 5)
    assert model.trees < 150
    shorter = library.fit(training, replace(settings, iterations=model.trees))
    np.testing.assert_allclose(model.predict(natural.values), shorter.predict(natural.values), rtol=1e-6)
    score = auc(natural.target, model.predict(natural.values))
    after = library.fit(training, replace(settings, iterations=model.trees + 5))
    assert score >= auc(natural.target, after.predict(natural.values))


@every_booster
def test_three_classes(booster, table):
    target = table.target + (table.matrix.values[:, 0] > 0.5)
    rows = rows_of(table, target=target)
    probability = fit(booster, rows, classes=3).predict(table.matrix.values)
    assert probability.shape == (len(target), 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-5)
    assert np.mean(probability.argmax(axis=1) == target) > 0.85


@every_booster
def test_a_class_without_training_rows_keeps_its_column(booster, table):
    probability = fit(booster, rows_of(table), classes=3).predict(table.matrix.values[:10])
    assert probability.shape == (10, 3)
    assert np.all(probability.argmax(axis=1) < 2)


@every_booster
@pytest.mark.parametrize("damage", ["half", "tail", "foreign", "empty", "absent"])
def test_a_damaged_model_is_refused(booster, damage, table, tmp_path):
    model = fit(booster, rows_of(table), iterations=5)
    path = tmp_path / f"model{LEARNERS[booster].suffix}"
    model.save(path)
    whole = path.read_bytes()
    kept = {
        "half": whole[: len(whole) // 2],
        "tail": whole[: -len(whole) // 50],
        "foreign": b"hello\n" * 99,
        "empty": b"",
    }
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(kept[damage])
    with pytest.raises(DataError, match="model"):
        LEARNERS[booster].load(path, 7, 2)


@every_booster
def test_a_librarys_complaint_is_one_message(booster, table):
    impossible = {"lightgbm": {"num_leaves": -1}, "xgboost": {"max_depth": -3}, "catboost": {"depth": 40}}[booster]
    with pytest.raises(TrainingError, match=r"(?i)refused to train: .+; check the member's parameters") as caught:
        fit(booster, rows_of(table), parameters=impossible)
    assert "\n" not in str(caught.value)


def test_catboost_puts_columns_back_in_their_places(table):
    """CatBoost sees numbers first, then categories; swapping columns must swap nothing but their places."""
    order = [4, 2, 6, 0, 1, 5, 3]
    moved = Rows(
        np.ascontiguousarray(table.matrix.values[:, order]),
        table.target,
        tuple(table.matrix.names[i] for i in order),
        (order.index(2),),
    )
    straight, shuffled = fit("catboost", rows_of(table)), fit("catboost", moved)
    assert set(np.argsort(-shuffled.importance())[:3]) == {order.index(i) for i in (0, 2, 5)}
    assert auc(table.target, shuffled.predict(moved.values)) == pytest.approx(
        auc(table.target, straight.predict(table.matrix.values)), abs=0.02
    )


@pytest.mark.parametrize("booster", BOOSTERS)
def test_auto_says_when_it_falls_back(booster, monkeypatch):
    monkeypatch.setattr(adapting, "cuda_gpus", lambda: 0)
    device, note = usable_device(LEARNERS[booster], "auto")
    assert device == "cpu"
    assert (note is None) == (booster == "lightgbm")
    assert usable_device(LEARNERS[booster], "cpu") == ("cpu", None)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(adapting, "cuda_gpus", lambda: 0)
    with pytest.raises(TrainingError, match=r"catboost is to train on a GPU.*set device = 'auto' or 'cpu'"):
        usable_device(LEARNERS["catboost"], "gpu")


def test_auto_takes_a_gpu(monkeypatch):
    monkeypatch.setattr(adapting, "cuda_gpus", lambda: 1)
    assert usable_device(LEARNERS["catboost"], LEARNERS["catboost"].defaults.device) == ("gpu", None)


@pytest.mark.gpu
@pytest.mark.parametrize("booster", ["xgboost", "catboost"])
def test_a_model_trained_on_a_gpu_predicts_on_the_cpu(booster, table, tmp_path):
    if not adapting.cuda_gpus():
        pytest.skip("no CUDA device")
    model = fit(booster, rows_of(table), device="gpu")
    model.save(tmp_path / "model")
    loaded = LEARNERS[booster].load(tmp_path / "model", 7, 2)
    np.testing.assert_allclose(loaded.predict(table.matrix.values), model.predict(table.matrix.values), rtol=1e-5)
    assert auc(table.target, model.predict(table.matrix.values)) > 0.9


def test_names_stay_distinct_when_made_plain():
    assert plain_names(["a b", "a_b", "c[0]", "d<1", "é"]) == ["a_b_0", "a_b_1", "c_0_", "d_1", "_"]


def test_shares_of_nothing_are_zero():
    np.testing.assert_array_equal(shares([0.0, 0.0]), [0.0, 0.0])


@every_booster
def test_contributions_add_up_to_the_log_odds(booster, table):
    model = fit(booster, rows_of(table))
    contributions = model.contributions(table.matrix.values)
    assert contributions.shape == (len(table.target), 8)
    assert contributions.dtype == np.float64
    probability = model.predict(table.matrix.values)
    np.testing.assert_allclose(contributions.sum(axis=1), np.log(probability) - np.log1p(-probability), atol=2e-5)
    assert np.ptp(contributions[:, -1]) == pytest.approx(0.0, abs=1e-6)


@every_booster
def test_contributions_to_several_classes_add_up_to_their_logits(booster, table):
    three = (table.target + (table.matrix.values[:, 0] > 0)).astype(np.int64)
    model = fit(booster, rows_of(table, target=three), classes=3)
    contributions = model.contributions(table.matrix.values)
    assert contributions.shape == (len(three), 3, 8)
    logits = contributions.sum(axis=2)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected, model.predict(table.matrix.values), atol=1e-5)


@every_booster
def test_a_category_contributes_in_its_own_column(booster, table):
    """CatBoost puts categories behind the numbers; here the category comes first."""
    code = np.tile(np.arange(4, dtype=np.float32), 100)
    noise = np.random.default_rng(1).normal(size=400).astype(np.float32)
    values, target = np.column_stack([code, noise]), (code == 2).astype(np.int64)
    model = fit(booster, Rows(values, target, ("place", "noise"), (0,)))
    contributions = model.contributions(values)
    assert contributions[code == 2, 0].min() > contributions[code != 2, 0].max() + 1.0
    assert np.abs(contributions[:, 1]).max() < 0.5
