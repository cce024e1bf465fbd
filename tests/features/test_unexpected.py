"""What numbers let expect of each other, against regression and the closed form, and what must not change it."""

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LinearRegression

from data.cohort import Cohort
from data.errors import DataError
from features.encode import Encoder
from features.recipe import FeatureRecipe
from features.table import build
from features.unexpected import BLOCK, DISTANCE, Expectation, fit_expectation, normal_scores, quantile_knots

COUNT = 4000
NAMES = ("wide", "long", "dark")


def numbers(seed: int = 0, count: int = COUNT) -> pl.DataFrame:
    """Two numbers that go together, and one by itself, on skewed scales."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=count)
    second = 0.9 * first + np.sqrt(1 - 0.81) * rng.normal(size=count)
    return pl.DataFrame({"wide": np.exp(first), "long": second**3 + 2 * second, "dark": rng.normal(size=count)})


def fitted(frame: pl.DataFrame) -> Expectation:
    found = fit_expectation(frame, np.arange(len(frame)), NAMES)
    assert found is not None
    return found


def test_residuals_are_those_of_a_regression_on_all_other_numbers() -> None:
    frame = numbers()
    expectation = fitted(frame)
    scores = normal_scores(frame.to_numpy(), expectation.knots)
    found = expectation.of(frame.to_numpy())
    for place in range(len(NAMES)):
        others = np.delete(scores, place, axis=1)
        residual = scores[:, place] - LinearRegression().fit(others, scores[:, place]).predict(others)
        np.testing.assert_allclose(found[:, place], residual / residual.std(), rtol=0.03, atol=0.03)


def test_distance_is_that_of_mahalanobis() -> None:
    frame = numbers()
    expectation = fitted(frame)
    scores = normal_scores(frame.to_numpy(), expectation.knots)
    covariance = LedoitWolf().fit(scores).covariance_
    found = expectation.of(frame.to_numpy())[:, -1]
    middle = scores.mean(axis=0)
    expected = [mahalanobis(row, middle, np.linalg.inv(covariance)) for row in scores[:50]]
    np.testing.assert_allclose(found[:50], expected, rtol=5e-3)


def test_what_two_numbers_contradict_is_far_though_each_is_common() -> None:
    """Wide and short: neither is rare, both together are."""
    expectation = fitted(numbers())
    usual, odd = np.exp(1.0), 1.0 + 2.0
    together, apart = expectation.of(np.array([[usual, odd, 0.0], [usual, -odd, 0.0]]))
    assert together[-1] < 2 < 4 < apart[-1]
    assert apart[0] > 3
    assert apart[1] < -3
    assert abs(apart[2]) < 0.2


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 50), st.floats(-100, 100), st.integers(0, 2))
def test_units_do_not_matter(factor: float, shift: float, place: int) -> None:
    frame = numbers(count=300)
    other = frame.with_columns(pl.col(NAMES[place]) * factor + shift)
    np.testing.assert_allclose(
        fitted(frame).of(frame.to_numpy()), fitted(other).of(other.to_numpy()), rtol=1e-6, atol=1e-6
    )


def test_a_row_does_not_depend_on_those_beside_it() -> None:
    frame = numbers(count=BLOCK + 700)
    expectation = fitted(frame)
    whole = expectation.of(frame.to_numpy())
    for rows in (slice(0, 1), slice(5, 905), slice(BLOCK - 3, BLOCK + 300)):
        np.testing.assert_array_equal(expectation.of(frame.to_numpy()[rows]), whole[rows])


def test_a_missing_number_has_no_residual_and_moves_no_other() -> None:
    expectation = fitted(numbers())
    found = expectation.of(np.array([[np.nan, 0.0, 0.3], [np.nan, np.nan, np.nan]]))
    assert np.isnan(found[0, 0])
    assert np.isfinite(found[0, 1:]).all()
    assert found[1, -1] == 0


def test_constant_and_missing_columns_are_left_out_and_too_few_make_nothing() -> None:
    frame = numbers().with_columns(same=pl.lit(4.0), none=pl.lit(None, pl.Float64))
    rows = np.arange(COUNT)
    found = fit_expectation(frame, rows, (*NAMES, "same", "none"))
    assert found is not None
    assert found.names == NAMES
    assert fit_expectation(frame, rows, ("wide", "long", "same")) is None
    assert fit_expectation(frame, rows, ("wide", "long")) is None


def test_two_numbers_that_say_the_same_are_no_trouble() -> None:
    frame = numbers().with_columns(copy=pl.col("wide"))
    found = fit_expectation(frame, np.arange(COUNT), (*NAMES, "copy"))
    assert found is not None
    assert np.isfinite(found.of(frame.to_numpy())).all()


def test_knots_of_ties_are_the_middle_of_their_scores() -> None:
    assert quantile_knots(np.array([np.nan, np.inf])) == ()
    knots = dict(quantile_knots(np.array([0.0] * 90 + [1.0] * 10)))
    assert list(knots) == [0.0, 1.0]
    assert knots[0.0] < 0 < knots[1.0]


def test_stored_and_read_is_the_same() -> None:
    frame = numbers(count=200)
    expectation = fitted(frame)
    again = Expectation.from_json(json.loads(json.dumps(asdict(expectation))))
    assert again == expectation


@pytest.mark.parametrize(("part", "forged"), [("centre", [0.0]), ("precision", [[1.0]]), ("knots", [[[0.0]]] * 3)])
def test_a_forged_one_is_no_encoder(cohort_of: Callable[..., Cohort], part: str, forged: object) -> None:
    cohort, recipe = cohort_of(), FeatureRecipe(set="compact")
    stored = Encoder.fit(build(cohort, recipe), np.arange(len(cohort.ids)), None, recipe).to_json()
    stored["expectation"] |= {part: forged}
    with pytest.raises(DataError, match="not a stored encoder"):
        Encoder.from_json(stored)


@pytest.mark.parametrize("impute", ["median", "none"])
def test_an_encoder_fits_it_on_its_rows_alone(cohort_of: Callable[..., Cohort], impute: str) -> None:
    cohort = cohort_of()
    recipe = FeatureRecipe(set="compact", impute=impute)  # type: ignore[arg-type]
    table = build(cohort, recipe)
    rows = np.arange(0, len(cohort.ids), 2)
    encoder, matrix = Encoder.fit_transform(table, rows, cohort.target, recipe)
    assert matrix.names[-1] == DISTANCE
    assert matrix.families[-1] == "unexpected"
    assert "tbp_lv_A_patient_z_unexpected" in matrix.names
    np.testing.assert_array_equal(encoder.transform(table, rows).values, matrix.values)
    held_out = np.setdiff1d(np.arange(len(cohort.ids)), rows)
    changed = table.frame.with_row_index("row").with_columns(
        pl.when(pl.col("row").is_in(held_out))
        .then(99.0)
        .otherwise(pl.col("tbp_lv_A"))
        .cast(pl.Float32)
        .alias("tbp_lv_A")
    )
    moved = type(table)(changed.drop("row"), table.features)
    assert Encoder.fit(moved, rows, cohort.target, recipe) == encoder
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    without = recipe.model_copy(update={"unexpected": False})
    plain = Encoder.fit(table, rows, cohort.target, without).transform(table)
    np.testing.assert_array_equal(plain.values, encoder.transform(table).values[:, : plain.values.shape[1]])


def test_target_encodings_stay_where_they_are(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of()
    recipe = FeatureRecipe(set="simple", unexpected=True)
    table, rows = build(cohort, recipe), np.arange(len(cohort.ids))
    with_them = Encoder.fit_transform(table, rows, cohort.target, recipe, groups=cohort.groups)[1]
    without = recipe.model_copy(update={"unexpected": None})
    plain = Encoder.fit_transform(table, rows, cohort.target, without, groups=cohort.groups)[1]
    np.testing.assert_array_equal(with_them.values[:, : plain.values.shape[1]], plain.values)
