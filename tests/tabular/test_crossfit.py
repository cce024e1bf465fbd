"""Cross-fitting: nothing of the held-out rows reaches the models, and the models on disk are the models."""

import json
from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError
from data.files import sha256_of
from data.scores.scores import pauc
from tabular.crossfit import MANIFEST, fit_member, predict_member
from tabular.learners.registry import LEARNERS
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe

BOOSTERS = [name for name in LEARNERS if LEARNERS[name].stops_early]
every_booster = pytest.mark.parametrize("booster", BOOSTERS)
RECIPE = TabularRecipe(resample=ResampleRecipe(over_ratio=0.15, under_ratio=0.3), image_noise=0.1)


def member_of(booster: str, **changed) -> MemberRecipe:
    smaller = {"lightgbm": {"min_data_in_leaf": 10}, "xgboost": {"min_child_weight": 1}, "catboost": {"depth": 3}}[
        booster
    ]
    return MemberRecipe(
        **{"name": booster, "booster": booster, "device": "cpu", "iterations": 20, "parameters": smaller, **changed}
    )


def fit(member, table, folder, recipe=RECIPE, **changed):
    options = {"seed": 7, "folder": folder, **changed}
    return fit_member(member, recipe, table.matrix, table.target, table.groups, table.train_rows, **options)


def checksums(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


@every_booster
@pytest.mark.parametrize("early_stopping", [0, 5])
def test_held_out_rows_never_change_the_model(booster, early_stopping, table, tmp_path):
    member = member_of(booster, early_stopping=early_stopping)
    fit(member, table, tmp_path / "as_is")
    values, target, groups = table.matrix.values.copy(), table.target.copy(), table.groups.copy()
    values[table.held_out_rows] = 1e6
    target[table.held_out_rows] = 1 - target[table.held_out_rows]
    groups[table.held_out_rows] = 0
    changed = replace(table, matrix=replace(table.matrix, values=values), target=target)
    fit_member(
        member, RECIPE, changed.matrix, target, groups, table.train_rows, seed=7, folder=tmp_path / "changed"
    )  # fmt: skip
    assert checksums(tmp_path / "as_is") == checksums(tmp_path / "changed")


@every_booster
def test_training_labels_do_change_the_model(booster, table, tmp_path):
    fit(member_of(booster), table, tmp_path / "as_is")
    target = table.target.copy()
    flipped = table.train_rows[np.flatnonzero(target[table.train_rows] == 1)[:5]]
    target[flipped] = 0
    fit(member_of(booster), replace(table, target=target), tmp_path / "changed")
    assert checksums(tmp_path / "as_is") != checksums(tmp_path / "changed")


def test_a_seed_as_printed_reaches_the_library_and_the_rest_stays_the_job_s(table, tmp_path):
    plain = RECIPE.model_copy(update={"resample": ResampleRecipe(method="none"), "image_noise": 0.0})
    member = member_of("lightgbm", parameters={"min_data_in_leaf": 10, "bagging_fraction": 0.5, "bagging_freq": 1})
    for name, seed in (("a", 1), ("b", 2)):
        fit(member, table, tmp_path / name, plain, seed=seed, library_seed=42)
        assert "[seed: 42]" in (tmp_path / name / "model.txt").read_text()
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b")
    fit(member, table, tmp_path / "derived", plain, seed=1)
    assert checksums(tmp_path / "a") != checksums(tmp_path / "derived")
    # What resampling draws is still the job's own.
    for name, seed in (("c", 1), ("d", 2)):
        fit(member, table, tmp_path / name, seed=seed, library_seed=42)
    assert checksums(tmp_path / "c") != checksums(tmp_path / "d")


@every_booster
def test_a_job_depends_on_its_seed_alone(booster, table, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(member_of(booster), table, tmp_path / name, seed=seed)
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b")
    assert checksums(tmp_path / "a") != checksums(tmp_path / "c")


@every_booster
def test_it_finds_the_signal_and_reports(booster, table, tmp_path):
    member = member_of(booster, iterations=60)
    report = fit(member, table, tmp_path)
    probability = predict_member(member, tmp_path, table.matrix, table.held_out_rows)
    assert pauc(table.target[table.held_out_rows], probability) > 0.1
    assert next(iter(report.importance)) in ("size mm", "vit logit")
    assert sum(report.importance.values()) == pytest.approx(1.0)
    assert set(report.artefacts) == {path.name for path in tmp_path.iterdir()}
    json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.parametrize("resample", [{"over_ratio": 0.15, "under_ratio": 0.3}, {"method": "none"}])
def test_shuffled_answers_score_as_chance(resample, table, tmp_path):
    """Labels shuffled among training lesions: mean pAUC over shuffles within four standard errors of 0.02."""
    scores = []
    for shuffle in range(20):
        rng = np.random.default_rng(shuffle)
        target = table.target.copy()
        target[table.train_rows] = rng.permutation(target[table.train_rows])
        member, recipe = member_of("lightgbm"), TabularRecipe(resample=ResampleRecipe(**resample))
        folder = tmp_path / str(shuffle)
        fit(member, replace(table, target=target), folder, recipe)
        scores.append(
            pauc(table.target[table.held_out_rows], predict_member(member, folder, table.matrix, table.held_out_rows))
        )
    standard_error = np.std(scores, ddof=1) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - 0.02) < 4 * standard_error
    assert standard_error < 0.01


def test_image_columns_stay_unseen_by_a_metadata_member(table, tmp_path):
    member = member_of("lightgbm", image_columns=False)
    fit(member, table, tmp_path / "as_is")
    values = table.matrix.values.copy()
    values[:, list(table.matrix.image)] = np.random.default_rng(0).normal(size=(len(values), 2))
    changed = replace(table, matrix=replace(table.matrix, values=values))
    fit(member, changed, tmp_path / "changed")
    assert checksums(tmp_path / "as_is") == checksums(tmp_path / "changed")
    without = predict_member(member, tmp_path / "as_is", table.matrix.without_image(), table.held_out_rows)
    np.testing.assert_array_equal(
        without, predict_member(member, tmp_path / "as_is", changed.matrix, table.held_out_rows)
    )


def test_columns_are_found_by_name(table, tmp_path):
    member = member_of("catboost")
    fit(member, table, tmp_path)
    order = [6, 2, 0, 5, 4, 3, 1]
    moved = replace(
        table.matrix,
        values=np.ascontiguousarray(table.matrix.values[:, order]),
        names=tuple(table.matrix.names[i] for i in order),
        categorical=(1,),
        image=(0, 3),
    )
    rows = table.held_out_rows
    np.testing.assert_array_equal(
        predict_member(member, tmp_path, moved, rows), predict_member(member, tmp_path, table.matrix, rows)
    )


def test_bags_average(table, tmp_path):
    member = member_of("xgboost")
    recipe = TabularRecipe(resample=ResampleRecipe(method="under_bags", under_ratio=0.5, bags=3))
    report = fit(member, table, tmp_path, recipe)
    assert [model["file"] for model in report.models] == ["bag_0.ubj", "bag_1.ubj", "bag_2.ubj"]
    values = table.matrix.values[table.held_out_rows]
    singles = [LEARNERS["xgboost"].load(tmp_path / f"bag_{bag}.ubj", 7, 2).predict(values) for bag in range(3)]
    assert not np.array_equal(singles[0], singles[1])
    np.testing.assert_allclose(
        predict_member(member, tmp_path, table.matrix, table.held_out_rows), np.mean(singles, axis=0)
    )


@every_booster
def test_many_classes(booster, table, tmp_path):
    target = table.target + (table.matrix.values[:, 0] > 0.5)
    member = member_of(booster)
    recipe = TabularRecipe(resample=ResampleRecipe(method="class_weights"))
    report = fit(member, replace(table, target=target), tmp_path, recipe)
    probability = predict_member(member, tmp_path, table.matrix, table.held_out_rows)
    assert probability.shape == (len(table.held_out_rows), 3)
    assert np.mean(probability.argmax(axis=1) == target[table.held_out_rows]) > 0.7
    assert any("scale_pos_weight" in note for note in report.notes)


def test_a_model_that_could_not_split_is_said(table, tmp_path):
    member = member_of("lightgbm", parameters={"min_data_in_leaf": 5000})
    report = fit(member, table, tmp_path)
    assert any("made no split" in note for note in report.notes)
    assert len(np.unique(predict_member(member, tmp_path, table.matrix, table.held_out_rows))) == 1


def test_missing_features_are_named(table, tmp_path):
    member = member_of("lightgbm")
    fit(member, table, tmp_path)
    with pytest.raises(DataError, match=r"need 2 features that the table lacks \(vit logit, cnn logit\)"):
        predict_member(member, tmp_path, table.matrix.without_image(), table.held_out_rows)


def test_a_folder_without_models_is_refused(table, tmp_path):
    with pytest.raises(DataError, match="holds no fitted member"):
        predict_member(member_of("lightgbm"), tmp_path, table.matrix, table.held_out_rows)


def test_the_models_of_another_booster_are_refused(table, tmp_path):
    fit(member_of("lightgbm"), table, tmp_path)
    with pytest.raises(DataError, match="holds lightgbm models, but member xgboost is xgboost"):
        predict_member(member_of("xgboost"), tmp_path, table.matrix, table.held_out_rows)


@pytest.mark.parametrize("text", ["{", "[]", '{"booster": "lightgbm"}'])
def test_a_damaged_manifest_is_refused(text, table, tmp_path):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=r"manifest|damaged"):
        predict_member(member_of("lightgbm"), tmp_path, table.matrix, table.held_out_rows)


@every_booster
def test_a_changed_byte_is_noticed(booster, table, tmp_path):
    member = member_of(booster)
    report = fit(member, table, tmp_path)
    path = tmp_path / report.artefacts[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        predict_member(member, tmp_path, table.matrix, table.held_out_rows)


def test_leaves_that_are_no_numbers_are_refused_behind_a_fitting_checksum(table, tmp_path):
    member = member_of("lightgbm")
    fit(member, table, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    for entry in manifest["models"]:
        path = tmp_path / entry["file"]
        text = path.read_text()
        first = text.partition("leaf_value=")[2].split(" ", 1)[0]
        # As long as the number it replaces, because the header tells the size of each tree.
        path.write_text(text.replace(f"leaf_value={first} ", f"leaf_value={'nan'.rjust(len(first), '+')} ", 1))
        entry["sha256"] = sha256_of(path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="not a whole LightGBM model"):
        predict_member(member, tmp_path, table.matrix, table.train_rows)
