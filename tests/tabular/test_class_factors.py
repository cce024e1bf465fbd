"""Factors per class: more macro F1 on lesions they were not found on, and nothing of a fold's own answers."""

import json

import numpy as np
import pytest

from data.scores.scores import SCORES
from tabular.blend import BlendState, blend
from tabular.class_factors import class_factors, macro_f1, reweighted
from tabular.recipe import BlendRecipe

PRIORS = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
LESIONS = 6000


@pytest.fixture(scope="module")
def lesions():
    """Probabilities as a calibrated model gives them, with folds."""
    rng = np.random.default_rng(0)
    target = rng.choice(len(PRIORS), LESIONS, p=PRIORS)
    logits = np.log(PRIORS) + rng.normal(size=(LESIONS, len(PRIORS)))
    logits[np.arange(LESIONS), target] += 2.0
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), target, np.arange(LESIONS) % 5


def blended(lesions, calls: str, target=None):
    probability, own, folds = lesions
    recipe = BlendRecipe(calls=calls)
    return blend({"a": probability, "b": probability}, recipe, target=own if target is None else target, folds=folds)


def test_macro_f1_is_the_registered_score(lesions):
    probability, target, _ = lesions
    assert macro_f1(probability, target) == pytest.approx(SCORES["f1"](target, probability))


def test_rare_classes_are_called_and_macro_f1_rises_out_of_fold(lesions):
    plain, weighted = (blended(lesions, calls).out_of_fold for calls in ("likeliest", "macro_f1"))
    target = lesions[1]
    assert macro_f1(weighted, target) > macro_f1(plain, target) + 0.02
    np.testing.assert_allclose(weighted.sum(axis=1), 1.0)
    assert abs(SCORES["auc"](target, weighted) - SCORES["auc"](target, plain)) < 0.01


def test_a_folds_own_answers_do_not_count(lesions):
    _, target, folds = lesions
    turned = target.copy()
    turned[folds == 2] = np.random.default_rng(1).permutation(turned[folds == 2])
    one, other = blended(lesions, "macro_f1"), blended(lesions, "macro_f1", turned)
    np.testing.assert_array_equal(one.out_of_fold[folds == 2], other.out_of_fold[folds == 2])


def test_the_state_comes_back_from_json_and_an_earlier_one_has_no_factors(lesions):
    state = blended(lesions, "macro_f1").state
    stored = json.loads(json.dumps(state.to_json()))
    assert BlendState.from_json(stored) == state
    del stored["class_factors"]
    assert BlendState.from_json(stored).class_factors == ()


def test_missing_rows_are_left_out_and_equal_factors_change_nothing(lesions):
    probability, target, _ = lesions
    gaps = probability.copy()
    gaps[::9] = np.nan
    assert class_factors(gaps, target) == class_factors(
        np.delete(probability, np.s_[::9], 0), np.delete(target, np.s_[::9])
    )
    np.testing.assert_allclose(reweighted(probability, (2.0,) * len(PRIORS)), probability)


def test_two_classes_need_no_factors():
    rng = np.random.default_rng(0)
    columns = {"a": rng.random(100), "b": rng.random(100)}
    for calls in ("likeliest", "macro_f1"):
        found = blend(columns, BlendRecipe(calls=calls), target=rng.integers(0, 2, 100), folds=np.arange(100) % 2)
        assert found.state.class_factors == ()
