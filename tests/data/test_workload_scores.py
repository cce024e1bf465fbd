"""NNT and SEtop-15 against their definitions written as loops, with ties and with drawn patients."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from data.scores import multiclass
from data.scores.intervals import bootstrap, drawn_patients, paired_bootstrap, replicate_scores, replicates_of_scores
from data.scores.nnt import number_needed
from data.scores.ranking import UndefinedScoreError
from data.scores.scores import PATIENT_SCORES, SCORES, all_scores, confusion_at, precision, score_of
from data.scores.top_k import found_among_top


def sample_of(seed, patients=12, lesions=8, levels=6, rate=0.3):
    """Patients with unlike numbers of lesions and few different scores, so that ties are everywhere."""
    rng = np.random.default_rng(seed)
    group = np.repeat([f"IP_{i}" for i in range(patients)], rng.integers(1, lesions, patients))
    target = (rng.random(len(group)) < rate).astype(np.int64)
    target[:2] = [0, 1]
    probability = rng.integers(0, levels, len(group)) / levels
    order = rng.permutation(len(group))
    return target[order], probability[order], group[order]


def nnt_by_loop(target, probability, sensitivity):
    """The highest threshold that catches enough; looked at over found."""
    malignant = int(target.sum())
    for threshold in sorted(set(probability.tolist()), reverse=True):
        looked_at = found = 0
        for one, score in zip(target, probability, strict=True):
            looked_at += score >= threshold
            found += score >= threshold and one == 1
        if found * 100 >= round(sensitivity * 100) * malignant:
            return looked_at / found
    raise AssertionError


def top_by_loop(target, probability, groups, top):
    """Mean over every order of each patient's lesions that has the scores in falling order."""
    shares = []
    for name in sorted(set(groups.tolist())):
        rows = [i for i in range(len(groups)) if groups[i] == name]
        malignant = sum(target[i] for i in rows)
        if not malignant:
            continue
        found = [
            sum(target[i] for i in order[:top])
            for order in itertools.permutations(rows)
            if all(probability[a] >= probability[b] for a, b in itertools.pairwise(order))
        ]
        shares.append(np.mean(found) / malignant)
    return np.mean(shares)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.9, 1.0]), st.sampled_from([2, 6, 10**6]))
def test_nnt_is_its_definition(seed, sensitivity, levels):
    target, probability, _ = sample_of(seed, levels=levels)
    ours = number_needed(target, probability, sensitivity=sensitivity)
    assert ours == pytest.approx(nnt_by_loop(target, probability, sensitivity), abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]), st.sampled_from([2, 4]))
def test_top_k_is_the_mean_over_every_order_of_tied_lesions(seed, top, levels):
    target, probability, groups = sample_of(seed, patients=6, lesions=6, levels=levels)
    ours = found_among_top(target, probability, groups, top)
    assert ours == pytest.approx(top_by_loop(target, probability, groups, top), abs=1e-12)


def test_top_15_of_a_patient_with_many_lesions():
    target = np.zeros(40, dtype=np.int64)
    target[[3, 14, 15, 39]] = 1
    probability = -np.arange(40.0)
    assert found_among_top(target, probability, np.repeat("a", 40)) == 0.5


def test_every_patient_has_the_same_weight():
    target = np.array([1, 1, 1, 0, 1, 0])
    probability = np.array([0.9, 0.8, 0.1, 0.5, 0.1, 0.2])
    groups = np.array(["many", "many", "many", "many", "one", "one"])
    assert found_among_top(target, probability, groups, 2) == pytest.approx((2 / 3 + 1) / 2)
    assert found_among_top(target, probability, groups, 1) == pytest.approx((1 / 3 + 0) / 2)


def drawn_by_rows(target, probability, groups, name, replicates, seed):
    """Gather the rows of the drawn patients; every copy of a patient is a patient."""
    names = np.unique(groups)
    rows_of = [np.flatnonzero(groups == one) for one in names]
    scores = []
    for block in drawn_patients(len(names), replicates, seed):
        for drawn in block:
            rows = np.concatenate([rows_of[patient] for patient in drawn])
            copies = np.repeat(np.arange(len(drawn)), [len(rows_of[patient]) for patient in drawn])
            try:
                scores.append(score_of(name, target[rows], probability[rows], copies))
            except UndefinedScoreError:
                scores.append(np.nan)
    return np.array(scores)


@pytest.mark.parametrize("name", [*PATIENT_SCORES, "nnt_80", "nnt_90"])
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_replicates_are_those_of_the_drawn_patients_rows(name, seed):
    target, probability, groups = sample_of(seed, lesions=30, rate=0.15)
    ours = replicate_scores(target, probability, groups, score=name, replicates=60, seed=seed)
    theirs = drawn_by_rows(target, probability, groups, name, 60, seed)
    np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


def test_several_scores_are_drawn_at_once_as_one_by_one():
    target, probability, groups = sample_of(4, lesions=30)
    names = ("pauc", "auc", "nnt_80", "nnt_90", "se_top_15", "brier", "f1")
    together = replicates_of_scores(target, probability, groups, scores=names, replicates=70, seed=2)
    assert list(together) == list(names)
    for name in names:
        alone = replicate_scores(target, probability, groups, score=name, replicates=70, seed=2)
        np.testing.assert_array_equal(together[name], alone)


def test_bootstrap_of_a_score_of_patients():
    target, a, groups = sample_of(5, patients=40, lesions=40, levels=1000)
    b = np.random.default_rng(0).random(len(a))
    interval = bootstrap(target, a, groups, score="se_top_15", replicates=50)
    assert interval.estimate == found_among_top(target, a, groups)
    assert interval.low <= interval.estimate <= interval.high
    lead = paired_bootstrap(target, a, b, groups, score="se_top_15", replicates=50)
    assert lead.estimate == found_among_top(target, a, groups) - found_among_top(target, b, groups)


def test_all_scores_know_patients_where_they_are_told():
    target, probability, groups = sample_of(1)
    scores = all_scores(target, probability, groups)
    assert set(scores) == {*SCORES, *PATIENT_SCORES}
    assert scores["se_top_15"] == found_among_top(target, probability, groups)
    assert "se_top_15" not in all_scores(np.zeros(3), np.array([0.1, 0.2, 0.3]), np.arange(3))


@given(st.integers(0, 2**32 - 1))
def test_precision_and_macro_recall_are_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    target, probability = np.append([0, 1], rng.integers(0, 2, 40)), np.append(0.9, rng.random(41))
    called = (probability >= 0.5).astype(int)
    assert precision(target, probability) == pytest.approx(metrics.precision_score(target, called))
    assert SCORES["macro_recall"](target, probability) == pytest.approx(
        metrics.recall_score(target, called, average="macro")
    )
    classes, columns = np.append(np.arange(4), rng.integers(0, 4, 30)), rng.dirichlet(np.ones(4), 34)
    said = columns.argmax(axis=1)
    assert SCORES["precision"](classes, columns) == pytest.approx(
        metrics.precision_score(classes, said, average="macro", zero_division=0)
    )
    assert SCORES["macro_recall"](classes, columns) == pytest.approx(
        metrics.recall_score(classes, said, average="macro")
    )


def test_a_class_never_called_has_a_precision_of_nothing():
    columns = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
    assert multiclass.precision([0, 1, 2], columns) == pytest.approx((0.5 + 1 + 0) / 3)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5]))
def test_confusion_at_a_threshold_is_scikit_learns(seed, threshold):
    target, probability, _ = sample_of(seed)
    called = (probability >= threshold).astype(int)
    ours = confusion_at(target, probability, threshold)
    np.testing.assert_array_equal(ours, metrics.confusion_matrix(target, called, labels=[0, 1]))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="sensitivity"):
        number_needed([0, 1], [0.1, 0.2], sensitivity=80)
    with pytest.raises(UndefinedScoreError, match="both classes"):
        number_needed([0, 0], [0.1, 0.2])
    with pytest.raises(UndefinedScoreError, match="there are none"):
        found_among_top([0, 0], [0.1, 0.2], ["a", "b"])
    with pytest.raises(ValueError, match="3 groups for 2 rows"):
        found_among_top([0, 1], [0.1, 0.2], ["a", "b", "c"])
