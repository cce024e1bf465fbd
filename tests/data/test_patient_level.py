import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from data.scores.patient_level import by_patient, patient_scores

LESIONS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.one_of(st.just(math.nan), st.floats(0, 1))),
    min_size=1,
    max_size=30,
)


@given(lesions=LESIONS)
def test_each_aggregation_is_its_formula(lesions):
    groups, target, probability = (np.array(column) for column in zip(*lesions, strict=True))
    formulas = {
        "mean": lambda ps: sum(ps) / len(ps),
        "max": max,
        "noisy_or": lambda ps: 1 - math.prod(1 - p for p in ps),
    }
    for how, formula in formulas.items():
        patients = by_patient(target, probability, groups, how)
        assert patients.name.tolist() == sorted(set(groups))
        for name, p, y, n in zip(patients.name, patients.probability, patients.target, patients.lesions, strict=True):
            own = [q for g, _, q in lesions if g == name and not math.isnan(q)]
            assert n == len(own)
            assert y == max(t for g, t, _ in lesions if g == name)
            assert p == pytest.approx(formula(own), abs=1e-12) if own else math.isnan(p)


def test_noisy_or_keeps_apart_what_a_product_would_not():
    groups, none = np.repeat(["a", "b"], [2, 3]), np.zeros(5)
    one, two = by_patient(none, np.full(5, 1e-17), groups, "noisy_or").probability
    assert (one, two) == pytest.approx((2e-17, 3e-17))
    assert by_patient([0, 1], [1.0, 0.3], ["a", "a"], "noisy_or").probability.tolist() == [1.0]


def test_scores_are_those_of_the_patients():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 300)
    target = (rng.random(300) < 0.05).astype(int)
    probability = np.clip(0.3 * target + rng.random(300) * 0.6, 0, 1)
    found = patient_scores(target, probability, groups, "max")
    highest = [probability[groups == g].max() for g in np.unique(groups)]
    anyone = [target[groups == g].max() for g in np.unique(groups)]
    assert found["auc"] == pytest.approx(roc_auc_score(anyone, highest))


def test_patients_without_any_probability_are_left_out():
    nan = math.nan
    found = patient_scores([1, 0, 1, 0], [0.9, 0.1, nan, nan], ["a", "b", "c", "c"], "mean")
    assert found["auc"] == 1.0


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, 1], [0.1, 1.2], "between 0 and 1"),
        ([0, 1], [[0.1], [0.2]], "one entry per lesion"),
    ],
)
def test_what_cannot_be_meant_is_refused(target, probability, message):
    with pytest.raises(ValueError, match=message):
        by_patient(target, probability, ["a", "b"], "mean")
