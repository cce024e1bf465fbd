"""Multi-class scores against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from data.scores import multiclass
from data.scores.ranking import UndefinedScoreError
from data.scores.scores import SCORES


def sample_of(seed, n_classes=4, n=80, decimals=2):
    """Targets with every class and probability rows with ties, as a network gives them."""
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    raw = np.round(rng.dirichlet(np.ones(n_classes), n) + 0.6 * np.eye(n_classes)[target], decimals) + 1e-6
    return target, raw / raw.sum(axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.booleans())
def test_scores_are_scikit_learns(seed, n_classes, weighted):
    target, probability = sample_of(seed, n_classes)
    weight = np.random.default_rng(seed).integers(1, 4, len(target)) if weighted else None
    truth, predicted = np.eye(n_classes)[target], probability.argmax(axis=1)
    options = {"sample_weight": weight}
    expected = {
        "auc": metrics.roc_auc_score(truth, probability, average="macro", **options),
        "average_precision": metrics.average_precision_score(truth, probability, average="macro", **options),
        "accuracy": metrics.accuracy_score(target, predicted, **options),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, predicted, **options),
        "f1": metrics.f1_score(target, predicted, average="macro", **options),
    }
    for name, value in expected.items():
        assert getattr(multiclass, name)(target, probability, weight=weight) == pytest.approx(value, abs=1e-12), name
    np.testing.assert_array_equal(
        multiclass.confusion_matrix(target, probability, weight=weight),
        metrics.confusion_matrix(target, predicted, labels=range(n_classes), **options),
    )


@given(st.integers(0, 2**32 - 1), st.integers(2, 11))
def test_the_macro_f1_of_a_task_is_scikit_learns(seed, n_classes):
    target, probability = sample_of(seed, n_classes)
    expected = metrics.f1_score(target, probability.argmax(axis=1), average="macro")
    assert SCORES["macro_f1"](target, probability) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_whole_weights_are_repeated_rows(seed):
    target, probability = sample_of(seed)
    weight = np.random.default_rng(seed).integers(0, 3, len(target))
    weight[:4] = 1
    repeated = np.repeat(target, weight), np.repeat(probability, weight, axis=0)
    for score in (
        multiclass.auc,
        multiclass.average_precision,
        multiclass.accuracy,
        multiclass.balanced_accuracy,
        multiclass.f1,
    ):
        assert score(target, probability, weight=weight) == pytest.approx(score(*repeated), abs=1e-12)


@pytest.mark.parametrize(
    "score", [multiclass.auc, multiclass.average_precision, multiclass.balanced_accuracy, multiclass.f1]
)
def test_an_average_over_classes_needs_all_of_them(score):
    target, probability = sample_of(0)
    kept = target != 2
    with pytest.raises(UndefinedScoreError):
        score(target[kept], probability[kept])
    assert 0 < multiclass.accuracy(target[kept], probability[kept]) < 1


def test_the_missing_class_is_named():
    target, probability = sample_of(0)
    kept = (target != 2) & (target != 3)
    with pytest.raises(UndefinedScoreError, match="no row of class 2, 3"):
        multiclass.balanced_accuracy(target[kept], probability[kept])


def test_no_rows_have_no_accuracy():
    with pytest.raises(UndefinedScoreError, match="no rows"):
        multiclass.accuracy(np.zeros(0, dtype=int), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ([0, 3], np.full((2, 3), 1 / 3), "0 to 2"),
        ([0, -1], np.full((2, 3), 1 / 3), "0 to 2"),
        ([0, 0.5], np.full((2, 3), 1 / 3), "whole"),
        ([0], np.full((2, 3), 1 / 3), "must be"),
        ([0, 1], [[0.5], [0.5]], "at least 2"),
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "1 of 4 probabilities"),
    ],
)
def test_bad_samples_are_named(target, probability, message):
    with pytest.raises(ValueError, match=message):
        multiclass.accuracy(target, probability)


@pytest.mark.parametrize("weight", [[1.0], [1.0, -1.0], [1.0, np.nan]])
def test_bad_weights_are_named(weight):
    with pytest.raises(ValueError, match="weight must"):
        multiclass.accuracy([0, 1], np.full((2, 2), 0.5), weight=weight)
