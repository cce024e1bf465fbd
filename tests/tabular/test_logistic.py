"""Logistic regression: what scikit-learn finds, on columns that are what they are said to be, kept as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from data.errors import DataError, TrainingError
from data.scores.scores import auc
from tabular.learners.learner import Rows, Settings
from tabular.learners.registry import LEARNERS

LOGISTIC = LEARNERS["logistic"]


def rows_of(table, **changed) -> Rows:
    return Rows(
        **{
            "values": table.matrix.values,
            "target": table.target,
            "names": table.matrix.names,
            "categorical": table.matrix.categorical,
            **changed,
        }
    )


def fit(rows: Rows, classes: int = 2, iterations: int = 100, **parameters):
    return LOGISTIC.fit(rows, Settings({"C": 1.0, **parameters}, iterations, classes))


def by_hand(values: np.ndarray) -> np.ndarray:
    """Medians, standard scores and a column per code."""
    columns = []
    for column in (0, 1, 3, 4, 5, 6):
        value = values[:, column].astype(np.float64)
        value = np.where(np.isnan(value), np.nanmedian(value), value)
        columns.append((value - value.mean()) / value.std())
    columns += [(values[:, 2] == code).astype(float) for code in range(4)]
    return np.column_stack(columns)


def test_it_finds_what_scikit_learn_finds(table) -> None:
    probability = fit(rows_of(table), C=0.3).predict(table.matrix.values)
    inputs = by_hand(table.matrix.values)
    expected = LogisticRegression(C=0.3, tol=1e-8, max_iter=5000).fit(inputs, table.target).predict_proba(inputs)[:, 1]
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    assert auc(table.target, probability) > 0.9


def test_weights_count_as_repeats(table) -> None:
    weight = np.where(table.target == 1, 3.0, 1.0)
    repeats = np.repeat(np.arange(len(table.target)), weight.astype(int))
    values = np.nan_to_num(table.matrix.values)
    weighted = LOGISTIC.fit(rows_of(table, values=values, weight=weight), Settings({"C": 1e6}, 100))
    repeated = LOGISTIC.fit(
        rows_of(table, values=values[repeats], target=table.target[repeats]), Settings({"C": 1e6}, 100)
    )
    np.testing.assert_allclose(weighted.predict(values), repeated.predict(values), atol=1e-4)


def test_missing_and_new_values_get_a_probability(table) -> None:
    strange = table.matrix.values[:4].copy()
    strange[:, 2] = [np.nan, 17, 0, -1]
    strange[0, :] = np.nan
    probability = fit(rows_of(table)).predict(strange)
    assert np.isfinite(probability).all()


def test_a_column_without_spread_or_without_values_changes_nothing(table) -> None:
    values = np.column_stack([table.matrix.values, np.full(len(table.target), 7.1), np.full(len(table.target), np.nan)])
    names = (*table.matrix.names, "constant", "empty")
    more = fit(rows_of(table, values=values.astype(np.float32), names=names))
    np.testing.assert_allclose(
        more.predict(values.astype(np.float32)), fit(rows_of(table)).predict(table.matrix.values), atol=1e-9
    )


def test_several_classes_and_one_that_training_lacks(table) -> None:
    three = table.target + (table.matrix.values[:, 0] > 0.5)
    probability = fit(rows_of(table, target=three), classes=3).predict(table.matrix.values)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert np.mean(probability.argmax(axis=1) == three) > 0.8
    lacking = fit(rows_of(table), classes=3).predict(table.matrix.values)
    assert lacking.shape == (len(three), 3)
    np.testing.assert_array_equal(lacking[:, 2], 0.0)
    np.testing.assert_allclose(lacking[:, 1], fit(rows_of(table)).predict(table.matrix.values))


def test_a_smaller_c_shrinks(table) -> None:
    spread = [np.ptp(fit(rows_of(table), C=c).predict(table.matrix.values)) for c in (1e-4, 1.0)]
    assert spread[0] < spread[1]


def test_what_scikit_learn_refuses_is_one_message(table) -> None:
    with pytest.raises(TrainingError, match=r"logistic regression refused to train: .+; check the member's parameters"):
        fit(rows_of(table), C=-1.0)


def test_a_model_reads_back_to_the_last_bit_for_any_number_of_classes(table, tmp_path: Path) -> None:
    three = table.target + (table.matrix.values[:, 0] > 0.5)
    for classes, target in ((2, table.target), (3, three), (3, table.target)):
        model = fit(rows_of(table, target=target), classes)
        model.save(tmp_path / "model.json")
        assert LOGISTIC.load(tmp_path / "model.json", 7, classes) == model


def entry(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        for step in path[:-1]:
            told = told[step]
        told[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        entry("format", value="other"),
        entry("columns", value=6),
        entry("classes", value=3),
        entry("coefficients", 0, 0, value="1"),
        entry("coefficients", 0, 0, value=None),
        entry("coefficients", 0, value=[1.0]),
        entry("coefficients", value=[]),
        entry("intercepts", value=[1.0, 2.0]),
        entry("intercepts", value=3.0),
        entry("numbers", 0, "column", value=99),
        entry("numbers", 0, "column", value=1),
        entry("numbers", 0, "more", value=1),
        entry("numbers", value=[]),
        entry("categories", 0, "codes", value=[1.0]),
        entry("present", value=[0, 5]),
        entry("present", value=[1, 1]),
        entry("present", value=[1]),
        lambda told: told.pop("numbers"),
        lambda told: told.clear(),
    ],
)
def test_a_forged_model_is_refused(change: Callable[[dict[str, Any]], object], table, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    fit(rows_of(table)).save(path)
    told = json.loads(path.read_bytes())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"model.json is not a whole logistic model of 7 columns and 2 classes"):
        LOGISTIC.load(path, 7, 2)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000, b'{"format": NaN}'])
def test_a_file_that_is_something_else_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(text)
    with pytest.raises(DataError, match=r"model.json is not a whole logistic model"):
        LOGISTIC.load(tmp_path / "model.json", 7, 2)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"logistic model .* cannot be read"):
        LOGISTIC.load(tmp_path / "model.json", 7, 2)
