"""Scores at a threshold against scikit-learn, and the registry."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from data.scores.scores import (
    SCORES,
    UndefinedScoreError,
    accuracy,
    all_scores,
    balanced_accuracy,
    f1,
    macro_f1,
    pauc,
    sensitivity,
    specificity,
)


def sample_of(seed, n=50):
    rng = np.random.default_rng(seed)
    target = np.append([0, 1], rng.integers(0, 2, n - 2))
    return target, np.round(rng.random(n), 1), rng.integers(1, 4, n)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans())
def test_scores_at_a_threshold_are_scikit_learns(seed, threshold, weighted):
    target, probability, weight = sample_of(seed)
    weight = weight if weighted else None
    called = (probability >= threshold).astype(int)
    expected = {
        accuracy: metrics.accuracy_score(target, called, sample_weight=weight),
        balanced_accuracy: metrics.balanced_accuracy_score(target, called, sample_weight=weight),
        sensitivity: metrics.recall_score(target, called, sample_weight=weight),
        specificity: metrics.recall_score(target, called, pos_label=0, sample_weight=weight),
        f1: metrics.f1_score(target, called, sample_weight=weight),
        macro_f1: metrics.f1_score(target, called, average="macro", sample_weight=weight),
    }
    for score, value in expected.items():
        ours = score(target, probability, threshold=threshold, weight=weight)
        assert ours == pytest.approx(value, abs=1e-12), score.__name__


@pytest.mark.parametrize(
    ("score", "target", "probability"),
    [
        (sensitivity, [0, 0], [0.1, 0.9]),
        (specificity, [1, 1], [0.1, 0.9]),
        (balanced_accuracy, [0, 0], [0.1, 0.9]),
        (f1, [0, 0], [0.1, 0.2]),
        (macro_f1, [0, 0], [0.1, 0.2]),
        (accuracy, [], []),
    ],
)
def test_a_share_of_nothing_is_undefined(score, target, probability):
    with pytest.raises(UndefinedScoreError, match="there are none"):
        score(target, probability)


def test_all_scores_of_a_binary_sample():
    target, probability, _ = sample_of(0)
    scores = all_scores(target, probability)
    assert list(scores) == list(SCORES)
    assert scores["pauc"] == pauc(target, probability)
    assert all(type(value) is float and np.isfinite(value) for value in scores.values())


def test_all_scores_of_many_classes():
    rng = np.random.default_rng(0)
    scores = all_scores(np.arange(60) % 3, rng.dirichlet(np.ones(3), 60))
    assert set(scores) == {name for name, score in SCORES.items() if score.multiclass is not None}
    assert "pauc" not in scores


def test_all_scores_leaves_out_what_one_class_cannot_define():
    scores = all_scores([0, 0, 0], [0.1, 0.2, 0.9])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["brier"] == pytest.approx((0.01 + 0.04 + 0.81) / 3)
    assert not {"pauc", "auc", "average_precision", "sensitivity", "balanced_accuracy"} & set(scores)


def test_all_scores_refuses_missing_probabilities():
    with pytest.raises(ValueError, match="missing"):
        all_scores([0, 1], [0.1, np.nan])


def test_pauc_has_no_form_for_many_classes():
    with pytest.raises(ValueError, match="'pauc' is defined for two classes only"):
        SCORES["pauc"]([0, 1, 2], np.eye(3))


def test_direction_of_every_score():
    """A better prediction of the same lesions never scores worse, in the direction each score claims."""
    rng = np.random.default_rng(1)
    target = rng.integers(0, 2, 400)
    good = np.clip(0.5 + 0.4 * (2 * target - 1) + rng.normal(0, 0.15, 400), 0, 1)
    bad = rng.random(400)
    for score in SCORES.values():
        gain = score(target, good) - score(target, bad)
        assert gain > 0 if score.higher_is_better else gain < 0, score.name


def test_scores_need_numpy_alone():
    """Image models import these modules on machines without data-frame libraries."""
    code = (
        "import sys, data.scores.scores, data.scores.intervals, data.inner_split;"
        "print(sorted({'polars', 'pandas', 'sklearn', 'scipy', 'pydantic', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
