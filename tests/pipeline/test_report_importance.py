"""Attributions add up to the models' output; shuffling and samples do what they say; searches are read as written."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from features.table import FeatureTable
from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs
from pipeline.plan import plan
from pipeline.report import gallery, importance
from pipeline.report.attribution import attributed, feature_figures, joined
from pipeline.report.finished import FinishedRun, open_finished
from pipeline.report.importance import Shuffled, sample, shuffle_fold
from pipeline.report.loaded import load_members
from pipeline.report.networks import cost
from pipeline.report.searches import search_plots, searches
from pipeline.report.svg import Line
from pipeline.stage_two import ImageColumns, training_features
from pipeline.step import Step
from pipeline.steps.booster import FitBooster
from tabular.tuning.search import Comparison, TuneResult


@pytest.fixture(scope="module")
def run(finished_run: Path, cohort_dir: Path) -> FinishedRun:
    runtime = replace(surroundings(), cache_dir=cohort_dir.parent)
    return open_finished(Inputs(existing_run(str(finished_run)), runtime), runtime)


@pytest.fixture(scope="module")
def fold_zero(run: FinishedRun) -> Any:
    rows, stage_two = run.inputs.folds.validation_rows(0), run.plan.stage_two
    return load_members(stage_two.of_fold(0)), stage_two.encoder(0).transform(features(run), rows), rows


def features(run: FinishedRun) -> FeatureTable:
    return training_features(run.inputs, run.runtime, run.plan.images)


def test_contributions_add_up_to_the_log_odds(fold_zero: Any) -> None:
    members, matrix, _ = fold_zero
    rows = np.arange(0, len(matrix.values), 3)
    assert [member.name for member in members] == ["lightgbm_metadata", "lightgbm", "catboost", "xgboost"]
    for member in members:
        contributions = member.contributions(matrix, rows)
        assert contributions.shape == (len(rows), len(member.features) + 1)
        probability = member.predict(matrix, rows)
        expected = np.log(probability) - np.log1p(-probability)
        assert contributions.sum(axis=1) == pytest.approx(expected, abs=2e-5), member.name


def test_a_feature_without_a_split_contributes_nothing(run: FinishedRun, fold_zero: Any) -> None:
    members, matrix, _ = fold_zero
    for member in members:
        step = next(step for step in run.plan.stage_two.of_fold(0) if step.key[0] == member.name)
        shares = (step.report() or {})["fit"]["importance"]
        idle = [i for i, name in enumerate(member.features) if shares[name] == 0.0]
        assert idle
        found = member.contributions(matrix, np.arange(40))[:, idle]
        assert np.abs(found).max() == pytest.approx(0.0, abs=1e-7), member.name


def test_contributions_follow_native_categories(tmp_path: Path) -> None:
    from data.matrix import Matrix
    from pipeline.report.loaded import load_member
    from tabular.crossfit import fit_member
    from tabular.recipe import MemberRecipe, TabularRecipe

    rng = np.random.default_rng(4)
    code = rng.integers(0, 4, 600).astype(np.float32)
    code[::17] = np.nan
    number = rng.normal(size=600).astype(np.float32)
    target = ((code == 2) | (number > 1.2)).astype(np.int64)
    matrix = Matrix(np.column_stack([code, number]).astype(np.float32), ("place", "size"), ("a", "b"), (0,), ())
    for booster in ("lightgbm", "catboost", "xgboost"):
        member = MemberRecipe(name=booster, booster=booster, iterations=30, parameters={}, start="library")
        rows = np.arange(600)
        fit_member(
            member, TabularRecipe(members=(member,)), matrix, target, rows, rows, seed=1, folder=tmp_path / booster
        )
        work: Any = FitBooster(member, 0, 1, ImageColumns())
        step = Step("booster", (booster, 0, 1), booster, tmp_path / booster, work, {})
        loaded = load_member(booster, [step])
        found = loaded.contributions(matrix, rows)
        probability = loaded.predict(matrix, rows)
        expected = np.log(probability) - np.log1p(-probability)
        assert found.sum(axis=1) == pytest.approx(expected, abs=1e-4), booster
        # The category that decides pushes up, and lands in its own column whatever the library's column order.
        assert found[code == 2, 0].mean() > found[code == 1, 0].mean() + 0.5, booster


def test_shuffling_changes_only_members_that_have_the_family(run: FinishedRun, fold_zero: Any) -> None:
    members, matrix, rows = fold_zero
    shuffled = Shuffled(rows)
    worst = shuffle_fold(run, members, matrix, np.arange(len(rows)), rows, shuffled, 0)
    assert worst < 1e-6
    image = shuffled.by_family["image_logit"]
    assert np.array_equal(image["lightgbm_metadata"], shuffled.plain["lightgbm_metadata"])
    published = shuffled.by_family["published"]
    assert not np.array_equal(published["lightgbm_metadata"], shuffled.plain["lightgbm_metadata"])
    assert set(shuffled.by_family) == set(matrix.families)


def test_samples_take_all_that_there_is_and_no_more(run: FinishedRun) -> None:
    rows = sample(run, 10**6, 50, "test")
    assert np.array_equal(rows, np.unique(rows))
    assert set(np.flatnonzero(run.target == 1)) <= set(rows.tolist())
    assert len(rows) == run.target.sum() + 50
    assert np.array_equal(rows, sample(run, 10**6, 50, "test"))
    assert not np.array_equal(rows, sample(run, 10**6, 50, "other"))


def test_families_shuffle_as_one(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "REPLICATES", 20)
    table = features(run)
    figures, attribution = importance.study_members(run, table, np.array([3, 8]))
    families = {row["family"]: row for row in figures["families"]}
    assert set(families) == {feature.family for feature in table.features}
    assert sum(row["columns"] for row in families.values()) == len(attribution.features)
    assert {3, 8} <= set(attribution.rows.tolist())
    strengths = [row["mean_absolute_contribution"] for row in figures["features"]]
    assert strengths == sorted(strengths, reverse=True)
    pushed = gallery.pushes(attribution, 3, table)
    assert abs(pushed[0]["contribution"]) == pytest.approx(np.abs(attribution.of(3)).max())


def test_a_model_that_cannot_say_why_is_named(fold_zero: Any) -> None:
    """As one whose file was forged: XGBoost predicts with sums of Hessians that it refuses to explain."""
    members, matrix, _ = fold_zero

    def fail(values: Any, threads: int) -> Any:
        raise ValueError("[08:36] Check failed: unique_path\nStack trace")

    for forged in (fail, lambda values, threads: np.full((len(values), 3), np.nan)):
        member = replace(members[3], models=(SimpleNamespace(contributions=forged),), weights=(1.0,))
        with pytest.raises(DataError, match=r"^member xgboost: .* models .*train it again$"):
            member.contributions(matrix, np.arange(10))


def test_a_member_without_contributions_is_left_out_of_the_mean(run: FinishedRun, fold_zero: Any) -> None:
    members, matrix, rows = fold_zero
    silent = replace(members[2], models=(SimpleNamespace(contributions=lambda values, threads: None),), weights=(1.0,))
    local = np.arange(10)
    assert silent.contributions(matrix, local) is None
    some = attributed([members[0], silent, members[3]], matrix, local, rows[local], None, 1)
    pair = attributed([members[0], members[3]], matrix, local, rows[local], None, 1)
    assert some.members == (members[0].name, members[3].name)
    assert {name: each.tolist() for name, each in some.contributions.items()} == {
        name: each.tolist() for name, each in pair.contributions.items()
    }
    none = joined([attributed([silent], matrix, local, rows[local], None, 1)], {})
    assert none.names == ()
    assert gallery.pushes(none, int(rows[0]), None) == []
    assert feature_figures(none, np.ones(10, dtype=bool), [], np.random.default_rng(0)) == []


def test_pictures_of_unreadable_images_are_left_out(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = gallery.hardest(run)
    figures = gallery.gallery(run, chosen, None, None)
    first = figures["malignant_ranked_lowest"][0]
    assert first["pushes"] == []
    whole = gallery.pictures(run.inputs.data.train_images, figures)
    assert first["lesion"] in whole
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in whole.values())
    source = run.inputs.data.train_images
    read = type(source).read

    def refuse(self: Any, lesion: str) -> bytes:
        if lesion == first["lesion"]:
            raise DataError("gone")
        return read(self, lesion)

    monkeypatch.setattr(type(source), "read", refuse)
    assert set(whole) - set(gallery.pictures(run.inputs.data.train_images, figures)) == {first["lesion"]}


def test_cost_of_a_network_leaves_torch_as_it_was(run: FinishedRun) -> None:
    import torch

    threads = torch.get_num_threads()
    facts = cost(run.recipe.image_models[0], 2)
    assert torch.get_num_threads() == threads
    assert facts["parameters"] > 1000
    assert facts["megabytes"] == pytest.approx(facts["parameters"] * 4 / 1e6, rel=0.05)
    assert 0 < facts["milliseconds_per_image"] < 5000


@pytest.mark.parametrize("scope", ["fold", "shared"])
def test_searches_are_reported_with_their_honest_score(run: FinishedRun, tmp_path: Path, scope: str) -> None:
    assert searches(run.plan) == []
    tune = run.recipe.tabular.tune.model_copy(update={"trials": 3, "members": ("lightgbm",), "scope": scope})
    tabular = run.recipe.tabular.model_copy(update={"tune": tune})
    tuned = run.inputs.run.derive(recipe=run.recipe.model_copy(update={"tabular": tabular}), folder=tmp_path)
    member = next(one for one in tabular.members if one.name == "lightgbm")
    rows = [
        {"trial": i, "state": state, "pauc": score, "seconds": 1.0, "fold_0": 0.1, "max_depth": 3 + i}
        for i, (state, score) in enumerate([("complete", 0.11), ("pruned", None), ("complete", 0.13)])
    ]
    folder = tmp_path / "tabular" / "lightgbm" / "tuning"
    again = Comparison((0.12, 0.10, 0.11), (0.11, 0.105, 0.105))
    own = [again] if scope == "shared" else [None] * 3
    for fold, comparison in enumerate(own):
        TuneResult(
            member=member, study_name="x", best_parameters={"max_depth": 5}, best_value=0.13, first_value=0.11,
            table=pl.DataFrame(rows), importance={}, notes=(), reestimate=comparison,
        ).write(folder / f"fold_{fold}" if scope == "fold" else folder)  # fmt: skip
    (found,) = searches(plan(tuned, run.inputs.facts, 3))
    honest = {"tuned": 0.33 / 3, "as_in_recipe": 0.32 / 3, "folds": 3, "folds_won": 2}
    assert found["honest"] == (pytest.approx(honest) if scope == "shared" else None)
    assert [trial["score"] for trial in found["trials"]] == [0.11, None, 0.13] * len(own)
    assert found["trials"][2]["parameters"] == {"max_depth": 5}
    assert found["shared"] == (scope == "shared") == bool(tabular.optimistic)
    best = [layer for layer in search_plots(found, 0)[0].layers if isinstance(layer, Line)]
    assert [line.y for line in best] == [[0.11, 0.13]] * len(own)
