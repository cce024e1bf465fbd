"""What a member trains on."""

from dataclasses import replace

import numpy as np
import pytest

from data.errors import TrainingError
from data.matrix import Matrix
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe
from tabular.training_data import derived, effective_parameters, gather, take, training_parts, view_of

MEMBER = MemberRecipe(name="a", booster="lightgbm")
NATURAL = TabularRecipe(resample=ResampleRecipe(method="none"))


def test_a_member_without_image_columns_sees_what_the_matrix_says(table):
    view, expected = (
        view_of(MEMBER.model_copy(update={"image_columns": False}), table.matrix),
        table.matrix.without_image(),
    )
    assert view.names == expected.names
    assert view.categorical == expected.categorical
    rows = gather(view, table.matrix, table.target, np.array([3, 1, 3]), NATURAL)
    np.testing.assert_array_equal(rows.values, expected.values[[3, 1, 3]])
    np.testing.assert_array_equal(rows.target, table.target[[3, 1, 3]])
    assert view.noisy.size == 0


def test_categories_can_be_taken_as_numbers(table):
    assert view_of(MEMBER, table.matrix).categorical == (2,)
    assert view_of(MEMBER.model_copy(update={"native_categories": False}), table.matrix).categorical == ()


def test_a_member_without_columns_is_refused():
    images_only = Matrix(np.zeros((2, 1), np.float32), ("vit",), ("image",), (), (0,))
    with pytest.raises(TrainingError, match="member a has no column"):
        view_of(MEMBER.model_copy(update={"image_columns": False}), images_only)


def test_take_copies(table):
    everything = take(table.matrix.values, np.arange(5), np.arange(7))
    some = take(table.matrix.values, np.arange(5), np.array([0, 3]))
    assert some.flags.c_contiguous
    assert everything.base is None
    np.testing.assert_array_equal(some, table.matrix.values[:5][:, [0, 3]])


def test_noise_falls_on_image_columns_alone_with_the_spread_asked_for(table):
    recipe = NATURAL.model_copy(update={"image_noise": 0.5})
    rows = np.resize(np.arange(len(table.target)), 20_000)
    view = view_of(MEMBER, table.matrix)
    noisy = gather(view, table.matrix, table.target, rows, recipe, noise_seed=1).values
    difference = noisy - table.matrix.values[rows]
    assert np.nanmax(np.abs(difference[:, :5])) == 0
    for column in (5, 6):
        assert difference[:, column].std() == pytest.approx(0.5 * table.matrix.values[:, column].std(), rel=0.05)
        repeats = difference[rows == 0, column]
        assert len(np.unique(repeats)) == len(repeats), "oversampled copies must differ"
    np.testing.assert_array_equal(noisy, gather(view, table.matrix, table.target, rows, recipe, noise_seed=1).values)
    quiet = gather(view, table.matrix, table.target, rows, recipe).values
    np.testing.assert_array_equal(quiet, table.matrix.values[rows])


def test_noise_leaves_missing_scores_missing(table):
    values = table.matrix.values.copy()
    values[::3, 5] = np.nan
    values[:, 6] = np.nan
    matrix = replace(table.matrix, values=values)
    recipe = NATURAL.model_copy(update={"image_noise": 0.5})
    noisy = gather(view_of(MEMBER, matrix), matrix, table.target, np.arange(900), recipe, noise_seed=1).values
    np.testing.assert_array_equal(np.isnan(noisy), np.isnan(values))


def test_early_stopping_watches_training_patients_only(table):
    member = MEMBER.model_copy(update={"early_stopping": 10, "inner_share": 0.2})
    recipe = TabularRecipe(resample=ResampleRecipe(over_ratio=0.15, under_ratio=0.3))
    ((part,), _) = training_parts(member, recipe, table.target, table.groups, table.train_rows, seed=1)
    trained, watched = set(table.groups[part.rows]), set(table.groups[part.watched])
    assert not trained & watched
    assert trained | watched <= set(table.groups[table.train_rows])
    assert len(np.unique(part.watched)) == len(part.watched), "watched rows are not resampled"
    assert 0.1 < len(part.watched) / len(table.train_rows) < 0.3


def test_without_early_stopping_all_training_patients_train(table):
    ((part,), _) = training_parts(MEMBER, NATURAL, table.target, table.groups, table.train_rows, seed=1)
    assert part.watched is None
    np.testing.assert_array_equal(part.rows, table.train_rows)


def test_early_stopping_with_positives_in_one_patient_is_refused(table):
    member = MEMBER.model_copy(update={"early_stopping": 10})
    target = ((table.groups == 1) & (np.arange(900) % 2 == 0)).astype(np.int64)
    with pytest.raises(TrainingError, match=r"member a cannot stop early.*early_stopping = 0|single class"):
        training_parts(member, NATURAL, target, table.groups, table.train_rows, seed=1)


def test_class_weights_replace_scale_pos_weight():
    recipe = TabularRecipe(resample=ResampleRecipe(method="class_weights"))
    parameters, notes = effective_parameters(MEMBER, recipe, 2)
    assert "scale_pos_weight" not in parameters
    assert any("class weights" in note for note in notes)
    assert effective_parameters(MEMBER, TabularRecipe(), 2)[0]["scale_pos_weight"] == 2.7984
    assert "scale_pos_weight" not in effective_parameters(MEMBER, NATURAL, 3)[0]


def test_derived_seeds_differ_by_every_key():
    seeds = {derived(s, *keys) for s in (0, 1) for keys in ((), (0,), (1,), (0, 1), (1, 0))}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**31 for seed in seeds)
