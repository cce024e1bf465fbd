"""Tuning: the same folds, rows and seeds as cross-fitting; repeatable; goes on; says how optimistic it is."""

import json
from dataclasses import replace
from statistics import fmean

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.errors import DataError, TrainingError
from data.scores.scores import pauc
from tabular.crossfit import fit_member, predict_member
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe, TuneRecipe
from tabular.tuning.binned_folds import BinnedFold, blocks_of
from tabular.tuning.search import bin_folds, reestimate, tune

QUICK = {"lightgbm": {"min_data_in_leaf": 10}, "xgboost": {"min_child_weight": 1}, "catboost": {"depth": 3}}
SPACE = {"iterations": {"low": 5, "high": 30}, "learning_rate": {"low": 0.02, "high": 0.5, "log": True}}


def member_of(booster: str = "lightgbm", **changed) -> MemberRecipe:
    return MemberRecipe(
        **{"name": "m", "booster": booster, "device": "cpu", "iterations": 15, "parameters": QUICK[booster], **changed}
    )


def recipe_of(trials: int, space=SPACE, **changed) -> TabularRecipe:
    plan = {"trials": trials, "startup_trials": 3, "spaces": {"m": space}, **changed}
    resample = ResampleRecipe(over_ratio=0.15, under_ratio=0.3)
    return TabularRecipe(
        members=(member_of(),),
        resample=resample,
        tune=TuneRecipe.model_validate_json(json.dumps(plan)),
        image_noise=0.1,
    )


def run(folds_of, storage, trials=6, member=None, **changed):
    options = {"storage": storage, "study_name": "m", "seed": 3}
    return tune(member or member_of(), recipe_of(trials, **changed), folds_of(0), **options)


def without_times(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("seconds")


@pytest.mark.parametrize("booster", list(QUICK))
@pytest.mark.parametrize("changed", [{}, {"early_stopping": 4}, {"native_categories": False, "image_columns": False}])
def test_a_binned_fold_scores_what_cross_fitting_does(booster, changed, folds_of, tmp_path):
    member, recipe = member_of(booster, **changed), recipe_of(0)
    fold = next(folds_of(0))
    binned = BinnedFold(member, recipe, fold, seed=11, threads=1)
    for learning_rate in (0.3, 0.05):
        candidate = member.with_parameters({"learning_rate": learning_rate, "iterations": 12})
        folder = tmp_path / str(learning_rate)
        everyone = np.arange(len(fold.train_target))
        fit_member(
            candidate, recipe, fold.train, fold.train_target, fold.train_groups, everyone, seed=11, folder=folder
        )  # fmt: skip
        held_out = np.arange(len(fold.held_out_target))
        probability = predict_member(candidate, folder, fold.held_out, held_out)
        assert binned.score(candidate) == pauc(fold.held_out_target, probability)


def test_bags_are_averaged_in_a_binned_fold(folds_of, tmp_path):
    recipe = TabularRecipe(resample=ResampleRecipe(method="under_bags", under_ratio=0.5, bags=2))
    fold = next(folds_of(0))
    everyone, held_out = np.arange(len(fold.train_target)), np.arange(len(fold.held_out_target))
    fit_member(
        member_of(), recipe, fold.train, fold.train_target, fold.train_groups, everyone, seed=1, folder=tmp_path
    )  # fmt: skip
    expected = pauc(fold.held_out_target, predict_member(member_of(), tmp_path, fold.held_out, held_out))
    assert BinnedFold(member_of(), recipe, fold, seed=1, threads=1).score(member_of()) == expected


def test_searched_binning_parameters_bin_again(folds_of):
    fold = next(folds_of(0))
    binned = BinnedFold(member_of(), recipe_of(0), fold, seed=1, threads=1, searched=["max_bin"])
    scores = {}
    for max_bin in (7, 15, 31, 63, 7):
        candidate = member_of(parameters={**QUICK["lightgbm"], "max_bin": max_bin})
        fresh = BinnedFold(candidate, recipe_of(0), fold, seed=1, threads=1)
        scores[max_bin] = binned.score(candidate)
        assert scores[max_bin] == fresh.score(candidate)
    assert len(set(scores.values())) > 1


def test_the_member_as_it_is_comes_first(folds_of, tmp_path):
    result = run(folds_of, tmp_path / "s.journal", trials=1)
    assert result.best_parameters == {"iterations": 15, "learning_rate": 0.03231}
    assert result.member == member_of()
    assert result.best_value == result.first_value
    binned, _ = bin_folds(member_of(), recipe_of(0), folds_of(0), seed=3, threads=1)
    assert result.best_value == pytest.approx(fmean(fold.score(member_of()) for fold in binned))


def test_the_same_seed_gives_the_same_trials(folds_of, tmp_path):
    first, second = (run(folds_of, tmp_path / name) for name in ("a.journal", "b.journal"))
    assert_frame_equal(without_times(first.table), without_times(second.table))
    other = run(folds_of, tmp_path / "c.journal", seed=1)
    assert other.table["learning_rate"].to_list()[1:] != first.table["learning_rate"].to_list()[1:]


def test_it_goes_on_where_it_stopped(folds_of, tmp_path):
    class StopError(BaseException):
        pass

    straight = run(folds_of, tmp_path / "straight.journal", trials=8)

    def stop_in_the_fifth_trial(done, total, **figures):
        if done == 4 and figures.get("fold") == 2:
            raise StopError

    options = {"storage": tmp_path / "s.journal", "study_name": "m", "seed": 3}
    with pytest.raises(StopError):
        tune(member_of(), recipe_of(8), folds_of(0), progress=stop_in_the_fifth_trial, **options)
    resumed = run(folds_of, tmp_path / "s.journal", trials=8)
    assert_frame_equal(without_times(resumed.table), without_times(straight.table))
    assert resumed.best_parameters == straight.best_parameters
    longer = run(folds_of, tmp_path / "s.journal", trials=9)
    assert_frame_equal(without_times(longer.table)[:8], without_times(straight.table))
    assert longer.table.height == 9


def test_a_finished_study_trains_nothing(folds_of, tmp_path, monkeypatch):
    first = run(folds_of, tmp_path / "s.journal", trials=3)
    monkeypatch.setattr(BinnedFold, "score", lambda *_: pytest.fail("trained again"))
    assert_frame_equal(run(folds_of, tmp_path / "s.journal", trials=3).table, first.table)


def test_other_labels_begin_another_study(folds_of, tmp_path):
    first = run(folds_of, tmp_path / "s.journal", trials=2)
    flipped = [replace(fold, train_target=fold.train_target[::-1].copy()) for fold in folds_of(0)]
    options = {"storage": tmp_path / "s.journal", "study_name": "m", "seed": 3}
    second = tune(member_of(), recipe_of(2), flipped, **options)
    assert first.study_name != second.study_name
    assert second.table.height == 2


def test_a_hopeless_trial_is_pruned_by_fold(folds_of, tmp_path):
    space = {"iterations": {"choices": [15, 1]}, "feature_fraction": {"choices": [0.83296, 0.01]}}
    table = run(folds_of, tmp_path / "s.journal", trials=8, space=space, prune_p=0.3).table
    pruned = table.filter(pl.col("state") == "pruned")
    assert pruned.height > 0
    assert pruned["fold_2"].null_count() == pruned.height
    assert pruned["pauc"].null_count() == pruned.height
    never = run(folds_of, tmp_path / "n.journal", trials=8, space=space, prune_p=0.0).table
    assert set(never["state"]) == {"complete"}


def test_blocks_share_out_both_classes_and_need_enough_positives():
    rng = np.random.default_rng(0)
    for positives, expected in ((1, 1), (29, 1), (30, 2), (59, 3), (60, 4), (500, 4)):
        target = rng.permutation(np.arange(3_000) < positives).astype(np.int64)
        block = blocks_of(target)
        assert set(block) == set(range(expected))
        for label in (0, 1):
            counts = np.bincount(block[target == label], minlength=expected)
            assert counts.max() - counts.min() <= 1


def test_a_block_is_scored_on_its_own_rows(folds_of, monkeypatch):
    monkeypatch.setattr("tabular.tuning.binned_folds.POSITIVES_PER_BLOCK", 3)
    fold = next(folds_of(0))
    binned = BinnedFold(member_of(), recipe_of(0), fold, seed=1, threads=1)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr("tabular.tuning.binned_folds.pauc", lambda target, score: seen.append((target, score)) or 0.1)
    scored = binned.scored(member_of())
    block = blocks_of(fold.held_out_target)
    (whole_target, whole), *parts = seen
    assert len(scored.blocks) == len(parts) == block.max() + 1 > 1
    for number, (target, score) in enumerate(parts):
        np.testing.assert_array_equal(target, whole_target[block == number])
        np.testing.assert_array_equal(score, whole[block == number])


def test_a_hopeless_trial_is_pruned_after_the_first_fold_that_has_blocks(folds_of, tmp_path, monkeypatch):
    monkeypatch.setattr("tabular.tuning.binned_folds.POSITIVES_PER_BLOCK", 3)
    space = {"iterations": {"choices": [15, 1]}, "feature_fraction": {"choices": [0.83296, 0.01]}}
    table = run(folds_of, tmp_path / "s.journal", trials=8, space=space, prune_p=0.2).table
    assert table.filter(pl.col("state") == "pruned")["fold_1"].null_count() > 0
    complete = table.filter(pl.col("state") == "complete")
    mean = complete.select(pl.mean_horizontal("fold_0", "fold_1", "fold_2")).to_series()
    np.testing.assert_allclose(complete["pauc"], mean)


def test_parallel_trials_score_as_serial_ones(folds_of, tmp_path):
    table = run(folds_of, tmp_path / "s.journal", trials=6, jobs=3, prune_p=0.0).table
    assert table.height == 6
    binned, _ = bin_folds(member_of(), recipe_of(6), folds_of(0), seed=3, threads=1)
    for row in table.to_dicts():
        candidate = member_of().with_parameters({name: row[name] for name in SPACE})
        assert row["pauc"] == pytest.approx(fmean(fold.score(candidate) for fold in binned))


def test_a_refused_setting_is_a_failed_trial_not_the_end(folds_of, tmp_path):
    space = {"num_leaves": {"choices": [103, -1]}}
    result = run(folds_of, tmp_path / "s.journal", trials=6, space=space)
    failed = result.table.filter(pl.col("state") == "fail")
    assert failed.height > 0
    assert all("num_leaves" in reason for reason in failed["failure"])
    assert result.best_parameters == {"num_leaves": 103}
    assert run(folds_of, tmp_path / "s.journal", trials=6, space=space).table.height == 6


def test_no_finished_trial_is_an_error(folds_of, tmp_path):
    space = {"num_leaves": {"choices": [-1, -2]}}
    with pytest.raises(TrainingError, match=r"no trial of member m came to an end: LightGBM refused"):
        run(folds_of, tmp_path / "s.journal", trials=2, space=space)


def test_the_winner_is_scored_on_other_folds(folds_of, tmp_path):
    options = {"storage": tmp_path / "s.journal", "study_name": "m", "seed": 3}
    result = tune(member_of(), recipe_of(4), folds_of(0), other_folds=folds_of(99), **options)
    assert len(result.reestimate.tuned) == len(result.reestimate.as_in_recipe) == 3
    again = reestimate(result.member, member_of(), recipe_of(4), folds_of(99), seed=3)
    assert again == result.reestimate
    assert fmean(result.reestimate.tuned) != result.best_value
    assert reestimate(member_of(), member_of(), recipe_of(0), (), seed=3) is None


def test_tuning_on_shuffled_answers_reestimates_as_chance(table, folds_of, tmp_path):
    """The best of several trials on noise looks good; on other folds it is chance: |mean - 0.02| within 4 errors."""
    tuned, again = [], []
    for shuffle in range(6):
        answers = np.random.default_rng(shuffle).permutation(table.target)

        def shuffled(seed, answers=answers):
            fold_of = np.random.default_rng(seed).permutation(90)[table.groups] % 3
            for fold, data in enumerate(folds_of(seed)):
                yield replace(data, train_target=answers[fold_of != fold], held_out_target=answers[fold_of == fold])

        options = {"storage": tmp_path / f"{shuffle}.journal", "study_name": "m", "seed": 3}
        result = tune(member_of(), recipe_of(5), shuffled(0), other_folds=shuffled(99), **options)
        tuned.append(result.best_value)
        again += [fmean(result.reestimate.tuned)]
    error = np.std(again, ddof=1) / np.sqrt(len(again))
    assert abs(np.mean(again) - 0.02) < 4 * error
    assert error < 0.005
    assert np.mean(tuned) > np.mean(again)


def test_what_is_written_reads_back(folds_of, tmp_path):
    result = run(folds_of, tmp_path / "s.journal", trials=12)
    assert result.write(tmp_path) == ("trials.parquet", "tuning.json")
    assert_frame_equal(pl.read_parquet(tmp_path / "trials.parquet"), result.table)
    facts = json.loads((tmp_path / "tuning.json").read_text())
    assert facts["best_parameters"] == result.best_parameters
    assert MemberRecipe.model_validate_json(json.dumps(facts["member"])) == result.member


def test_importance_shares_sum_to_one(folds_of, tmp_path):
    result = run(folds_of, tmp_path / "s.journal", trials=12, prune_p=0.0)
    assert result.importance.keys() == SPACE.keys()
    assert sum(result.importance.values()) == pytest.approx(1.0)


def test_a_fold_without_positives_is_refused(folds_of, tmp_path):
    folds = [replace(fold, held_out_target=fold.held_out_target * 0) for fold in folds_of(0)]
    with pytest.raises(DataError, match="use folds with positives in all of them"):
        tune(member_of(), recipe_of(1), folds, storage=tmp_path / "s.journal", study_name="m", seed=3)


def test_a_quick_search_scores_short_trials_and_keeps_the_members_rounds(folds_of, tmp_path):
    space = {"learning_rate": {"low": 0.02, "high": 0.5, "log": True}}
    found = run(folds_of, tmp_path / "s.journal", trials=1, space=space, rounds=4)
    binned, _ = bin_folds(member_of(), recipe_of(0), folds_of(0), seed=3, threads=1)
    short = member_of().with_parameters({"iterations": 4})
    assert found.best_value == pytest.approx(fmean(fold.score(short) for fold in binned))
    assert found.member.iterations == member_of().iterations
