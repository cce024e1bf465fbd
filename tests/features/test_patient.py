from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import median_abs_deviation

from data.cohort import Cohort
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build

COLUMNS = ("tbp_lv_H", "tbp_lv_areaMM2", "clin_size_long_diam_mm")


def pandas_of(cohort: Cohort) -> pd.DataFrame:
    return pd.DataFrame(cohort.table.to_dict(as_series=False)).replace({None: np.nan})


def column(table: FeatureTable, name: str) -> np.ndarray:
    return table.frame[name].cast(pl.Float64).to_numpy()


def with_values(cohort: Cohort, **columns: object) -> Cohort:
    return Cohort(cohort.table.with_columns(**columns), cohort.task, cohort.labelled, cohort.forbidden)


@pytest.mark.parametrize(
    ("family", "place"),
    [
        ("patient_z", None),
        ("location_z", "tbp_lv_location"),
        ("simple_location_z", "tbp_lv_location_simple"),
        ("site_z", "anatom_site_general"),
    ],
)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_z_scores_equal_pandas(
    cohort_of: Callable[..., Cohort], family: str, place: str | None, missing: float
) -> None:
    cohort = cohort_of((1, 2, 9, 60), missing=missing)
    table = build(cohort, FeatureRecipe(families=(family,), compared_columns=COLUMNS))
    frame = pandas_of(cohort)
    keys = [frame["patient_id"]] if place is None else [frame["patient_id"], frame[place].fillna("no place")]
    for name in COLUMNS:
        groups = frame[name].groupby(keys)
        mean, sd = groups.transform("mean"), groups.transform("std").fillna(0)
        expected = (frame[name] - mean) / (sd + 1e-5)
        np.testing.assert_allclose(column(table, f"{name}_{family}"), expected, rtol=1e-5, atol=1e-5)


def test_patient_z_covers_published_and_derived_numbers(cohort_of: Callable[..., Cohort]) -> None:
    table = build(cohort_of(), FeatureRecipe(families=("size", "patient_z")))
    names = {name for name in table.names if name.endswith("_patient_z")}
    assert len(names) == 33 + 12
    assert "shape_index_patient_z" in names
    assert "age_approx_patient_z" not in names


def test_patient_z_of_a_derived_number_equals_pandas(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((3, 40))
    table = build(cohort, FeatureRecipe(families=("colour", "patient_z")))
    frame = pandas_of(cohort)
    values = (frame["tbp_lv_H"] - frame["tbp_lv_Hext"]).abs()
    groups = values.groupby(frame["patient_id"])
    expected = (values - groups.transform("mean")) / (groups.transform("std") + 1e-5)
    np.testing.assert_allclose(column(table, "hue_contrast_patient_z"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ranks_equal_pandas_with_ties(cohort_of: Callable[..., Cohort], missing: float) -> None:
    cohort = cohort_of((1, 2, 9, 60), missing=missing)
    cohort = with_values(cohort, tbp_lv_H=pl.col("tbp_lv_H").round(0))
    table = build(cohort, FeatureRecipe(families=("patient_rank",), compared_columns=COLUMNS))
    frame = pandas_of(cohort)
    for name in COLUMNS:
        groups = frame[name].groupby(frame["patient_id"])
        expected = (groups.rank() - 0.5) / groups.transform("count")
        np.testing.assert_allclose(column(table, f"{name}_patient_rank"), expected, rtol=1e-6)


def test_robust_z_equals_scipy(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((1, 2, 9, 60), missing=0.2)
    table = build(cohort, FeatureRecipe(families=("patient_robust_z",), compared_columns=COLUMNS))
    frame = pandas_of(cohort)
    for name in COLUMNS:
        groups = frame[name].groupby(frame["patient_id"])
        spread = 1.4826 * groups.transform(lambda v: median_abs_deviation(v.dropna()) if v.notna().any() else np.nan)
        expected = (frame[name] - groups.transform("median")) / (spread + 1e-5)
        np.testing.assert_allclose(column(table, f"{name}_patient_robust_z"), expected, rtol=1e-4, atol=1e-6)


def test_robust_z_where_most_values_are_equal(cohort_of: Callable[..., Cohort]) -> None:
    cohort = with_values(cohort_of((10,)), tbp_lv_H=pl.Series([0.0] * 8 + [1.0, 3.0]))
    table = build(cohort, FeatureRecipe(families=("patient_robust_z",), compared_columns=("tbp_lv_H",)))
    expected = np.array([0.0] * 8 + [1.0, 3.0]) / (1.2533 * 0.4 + 1e-5)
    np.testing.assert_allclose(column(table, "tbp_lv_H_patient_robust_z"), expected, rtol=1e-6)


def test_outlying_equals_a_loop(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((1, 2, 40), missing=0.2)
    recipe = FeatureRecipe(families=("patient_z", "outlying"), compared_columns=COLUMNS, outlier_z=1.0)
    table = build(cohort, recipe)
    z = np.abs(np.column_stack([column(table, f"{name}_patient_z") for name in COLUMNS]))
    for i, row in enumerate(z):
        known = row[~np.isnan(row)]
        found = table.frame.row(i, named=True)
        assert found["outlying_columns"] == (known > 1).sum()
        if len(known):
            assert found["outlying_share"] == pytest.approx((known > 1).mean())
            assert found["z_max"] == pytest.approx(known.max())
            assert found["z_mean"] == pytest.approx(known.mean())
            assert found["z_spread"] == pytest.approx(known.std(), abs=1e-5)
        else:
            assert found["z_max"] is None


def test_counts_and_areas_equal_pandas(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((1, 2, 9, 60), missing=0.2)
    table = build(cohort, FeatureRecipe(families=("counts",)))
    frame = pandas_of(cohort)
    area = frame["tbp_lv_areaMM2"]
    lesions = frame.groupby("patient_id")["isic_id"].transform("count")
    for place, name in (
        ("patient", None),
        ("location", "tbp_lv_location"),
        ("simple_location", "tbp_lv_location_simple"),
        ("site", "anatom_site_general"),
    ):
        keys = [frame["patient_id"]] if name is None else [frame["patient_id"], frame[name].fillna("no place")]
        count = frame["isic_id"].groupby(keys).transform("count")
        total = area.groupby(keys).transform("sum")
        np.testing.assert_array_equal(column(table, f"{place}_lesions"), count)
        np.testing.assert_allclose(column(table, f"{place}_area"), total, rtol=1e-6)
        np.testing.assert_allclose(column(table, f"{place}_area_share"), area / total, rtol=1e-6)
        if name is not None:
            np.testing.assert_allclose(column(table, f"{place}_lesion_share"), count / lesions, rtol=1e-6)


def test_one_lesion_has_defined_values(cohort_of: Callable[..., Cohort]) -> None:
    table = build(cohort_of((1,)), FeatureRecipe())
    row = table.frame.row(0, named=True)
    for feature in table.features:
        if feature.family in ("patient_z", "location_z", "simple_location_z", "site_z", "patient_robust_z"):
            assert row[feature.name] == 0, feature
        if feature.family == "patient_rank":
            assert row[feature.name] == 0.5, feature
    assert row["local_outlier_factor"] == 1
    assert row["nearest_distance"] == row["neighbour_distance"] == row["neighbour_distance_gap"] == 0
    assert row["tbp_lv_H_skin_difference"] == 0
    assert row["skin_nearest_distance"] is None
    assert (row["patient_lesions"], row["patient_area_share"], row["outlying_columns"]) == (1, 1, 0)


def test_constant_columns_give_zero(cohort_of: Callable[..., Cohort]) -> None:
    cohort = with_values(cohort_of((50, 300)), tbp_lv_H=pl.lit(1234.567))
    table = build(cohort, FeatureRecipe(families=("patient_z", "site_z", "patient_robust_z", "patient_rank")))
    for family in ("patient_z", "site_z", "patient_robust_z"):
        assert np.abs(column(table, f"tbp_lv_H_{family}")).max() < 1e-6
    np.testing.assert_allclose(column(table, "tbp_lv_H_patient_rank"), 0.5)
