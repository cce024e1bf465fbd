"""Blending: closed forms, honesty across folds, every lesion by itself."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from data.errors import DataError, RecipeError, TrainingError
from data.scores.scores import pauc
from tabular.blend import CHOSEN_FROM, RANK_LEVELS, BlendState, blend
from tabular.recipe import BlendRecipe

METHODS = ("mean", "logit_mean", "rank_mean", "weighted", "stacker", "rank_stacker", "chosen")
every_method = pytest.mark.parametrize("method", METHODS)
LESIONS = 600


@pytest.fixture(scope="module")
def members():
    """A good, a middling and a useless member; the good one lacks some lesions."""
    rng = np.random.default_rng(0)
    target = (rng.random(LESIONS) < 0.1).astype(np.int64)
    logits = {
        name: strength * target + rng.normal(size=LESIONS) - 2
        for name, strength in (("good", 3), ("fair", 1.5), ("none", 0))
    }
    columns = {name: 1 / (1 + np.exp(-logit)) for name, logit in logits.items()}
    columns["good"][::7] = np.nan
    return columns, target, np.arange(LESIONS) % 5


def run(members, method, **changed):
    columns, target, folds = members
    given_ = {"columns": columns, "target": target, "folds": folds, **changed}
    return blend(given_["columns"], BlendRecipe(method=method), target=given_["target"], folds=given_["folds"])


def test_the_mean_is_the_mean_of_what_is_there(members):
    columns = members[0]
    expected = np.nanmean(np.column_stack(list(columns.values())), axis=1)
    np.testing.assert_allclose(run(members, "mean").out_of_fold, expected)


def test_the_mean_of_classes():
    rng = np.random.default_rng(0)
    columns = {name: rng.dirichlet(np.ones(3), 10) for name in "ab"}
    columns["b"][4] = np.nan
    mean = blend(columns, BlendRecipe(), target=np.arange(10) % 3, folds=np.arange(10) % 2).out_of_fold
    np.testing.assert_allclose(mean[:4], (columns["a"] + columns["b"])[:4] / 2)
    np.testing.assert_allclose(mean[4], columns["a"][4])
    with pytest.raises(RecipeError, match=r"blend.method = 'stacker' is for two classes, the task has 3"):
        blend(columns, BlendRecipe(method="stacker"), target=np.arange(10) % 3, folds=np.arange(10) % 2)


@every_method
def test_what_a_fold_is_blended_with_knows_nothing_of_its_answers(method, members):
    target, folds = members[1], members[2]
    before = run(members, method)
    for fold in range(5):
        flipped = np.where(folds == fold, 1 - target, target)
        after = run(members, method, target=flipped)
        inside = folds == fold
        np.testing.assert_array_equal(after.out_of_fold[inside], before.out_of_fold[inside])
        assert after.by_fold[fold] == before.by_fold[fold]
        if method in ("weighted", "stacker"):
            assert after.state != before.state, "the final state does learn from every fold"


@every_method
def test_folds_use_the_state_learned_on_the_others(method, members):
    columns, target, folds = members
    blended = run(members, method)
    for fold in range(5):
        others = {name: column[folds != fold] for name, column in columns.items()}
        alone = blend(others, BlendRecipe(method=method), target=target[folds != fold], folds=folds[folds != fold])
        assert alone.state == blended.by_fold[fold]


@every_method
def test_every_lesion_is_blended_by_itself(method, members):
    columns = members[0]
    state = run(members, method).state
    together = state.apply(columns)
    chosen = np.random.default_rng(1).permutation(LESIONS)[:50]
    alone = [state.apply({name: column[[i]] for name, column in columns.items()})[0] for i in chosen]
    np.testing.assert_allclose(together[chosen], alone, rtol=1e-12)


@every_method
def test_it_is_as_good_as_its_members_promise(method, members):
    target = members[1]
    score = pauc(target, run(members, method).out_of_fold)
    assert score > 0.02 + 0.5 * (pauc(target, np.nan_to_num(members[0]["good"], nan=0.1)) - 0.02)


@every_method
def test_the_state_survives_json(method, members):
    blended = run(members, method)
    back = BlendState.from_json(json.loads(json.dumps(blended.to_json(), allow_nan=False)))
    assert back == blended.state


@every_method
def test_a_lesion_that_nobody_knows_stays_unknown(method, members):
    columns = {name: column[:3].copy() for name, column in members[0].items()}
    for column in columns.values():
        column[1] = np.nan
    blended = run(members, method).state.apply(columns)
    assert np.isnan(blended[1])
    assert np.isfinite(blended[[0, 2]]).all()


def test_the_chosen_way_is_the_one_that_scores_most_on_the_other_folds(members):
    columns, target, folds = members
    for fold, state in run(members, "chosen").by_fold.items():
        others = folds != fold
        rest = ({name: column[others] for name, column in columns.items()}, target[others], folds[others])
        scores = {method: pauc(target[others], run(rest, method).out_of_fold) for method in CHOSEN_FROM}
        assert state.method == max(scores, key=scores.get)
    two = (columns, target, folds % 2)
    assert {state.method for state in run(two, "chosen").by_fold.values()} == {"mean"}, "a single fold compares nothing"


def test_folds_that_choose_different_ways_speak_on_one_scale(members, monkeypatch):
    """Ranks of a rare class lie around a half, probabilities far below: pooled as they are, folds would be sorted."""
    _, target, folds = members
    turns = itertools.cycle(["mean", "rank_mean"])
    monkeypatch.setattr("tabular.blend._best_method", lambda *_: next(turns))
    chosen = run(members, "chosen")
    assert {state.method for state in chosen.by_fold.values()} == {"mean", "rank_mean"}
    levels = [np.nanmean(chosen.out_of_fold[folds == fold]) for fold in range(5)]
    assert np.ptp(levels) < 0.1
    alone = min(pauc(target, run(members, method).out_of_fold) for method in ("mean", "rank_mean"))
    assert pauc(target, chosen.out_of_fold) > alone - 0.005


def test_weights_are_a_mixture_and_prefer_the_good(members):
    for state in [run(members, "weighted").state, *run(members, "weighted").by_fold.values()]:
        weights = dict(zip(state.members, state.weights, strict=True))
        assert sum(weights.values()) == pytest.approx(1.0)
        assert min(weights.values()) >= 0
        assert weights["good"] > weights["none"]


def test_weights_beat_every_single_member_where_they_were_learned(members):
    columns, target, _ = members
    whole = {name: np.nan_to_num(column, nan=0.1) for name, column in columns.items()}
    blended = blend(whole, BlendRecipe(method="weighted"), target=target, folds=members[2])
    best = max(pauc(target, column) for column in whole.values())
    assert pauc(target, blended.state.apply(whole)) >= best


def test_members_without_weight_still_speak_where_they_are_alone():
    state = BlendState("weighted", ("a", "b"), weights=(1.0, 0.0))
    blended = state.apply({"a": np.array([0.2, np.nan]), "b": np.array([0.9, 0.7])})
    np.testing.assert_allclose(blended, [0.2, 0.7])


def test_the_stacker_is_the_logistic_regression_of_logits(members):
    columns, target, folds = members
    whole = {name: np.nan_to_num(column, nan=0.1) for name, column in columns.items()}
    logits = np.log(np.column_stack(list(whole.values())) / (1 - np.column_stack(list(whole.values()))))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(logits, target)
    blended = blend(whole, BlendRecipe(method="stacker"), target=target, folds=folds)
    np.testing.assert_allclose(blended.state.apply(whole), model.predict_proba(logits)[:, 1], rtol=1e-6)


probabilities = arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(column=probabilities, new=probabilities)
def test_the_rank_map_rises_strictly_and_stays_within_bounds(column, new):
    target = np.arange(len(column)) % 2
    state = blend({"a": column}, BlendRecipe(method="rank_mean"), target=target, folds=target).state
    points, levels = (np.array(part) for part in state.ranks[0])
    assert np.all(np.diff(points) > 0)
    assert np.all(np.diff(levels) > 0)
    ranked = state.apply({"a": new})
    assert np.all((ranked >= 0) & (ranked <= 1))
    order = np.argsort(new)
    assert np.all(np.diff(ranked[order]) >= 0)


def test_the_rank_map_is_the_distribution_function(members):
    column = np.random.default_rng(2).beta(0.3, 5, 5000)
    folds = np.arange(5000) % 2
    state = blend({"a": column}, BlendRecipe(method="rank_mean"), target=folds, folds=folds).state
    exact = (rankdata(column) - 0.5) / 5000
    assert np.max(np.abs(state.apply({"a": column}) - exact)) < np.diff(RANK_LEVELS).max()


def test_ranks_make_members_of_different_scale_count_alike():
    rng = np.random.default_rng(0)
    loud, soft = rng.random(1000), rng.random(1000)
    folds = np.arange(1000) % 2
    columns = {"loud": loud, "soft": soft * 1e-3}
    ranked = blend(columns, BlendRecipe(method="rank_mean"), target=folds, folds=folds).out_of_fold
    assert np.corrcoef(ranked, soft)[0, 1] == pytest.approx(np.corrcoef(ranked, loud)[0, 1], abs=0.1)


@pytest.mark.parametrize("method", ["weighted", "stacker"])
def test_folds_that_leave_nothing_to_learn_are_refused(method, members):
    folds = members[2]
    with pytest.raises(TrainingError, match="hold a single class; use 'mean'"):
        run(members, method, target=(folds == 3).astype(np.int64))


def test_a_patient_in_two_folds_is_refused(members):
    columns, target, folds = members
    with pytest.raises(DataError, match="60 patients are in more than one fold"):
        blend(columns, BlendRecipe(), target=target, folds=folds, groups=np.arange(LESIONS) // 10)
    blend(columns, BlendRecipe(), target=target, folds=folds, groups=folds * 100 + np.arange(LESIONS) % 10 // 5)


def test_missing_members_are_named(members):
    with pytest.raises(DataError, match="members to blend are missing: fair, none"):
        run(members, "mean").state.apply({"good": members[0]["good"]})


@pytest.mark.parametrize(
    "value", [{}, {"method": "mean"}, {"method": "mean", "members": 3, "weights": [], "intercept": 0, "ranks": []}]
)
def test_a_damaged_state_is_refused(value):
    with pytest.raises(DataError, match="blend's state cannot be read"):
        BlendState.from_json(value)
