from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
from sklearn.neighbors import LocalOutlierFactor

from data.cohort import Cohort
from features.columns import STRONG
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build

LOF = FeatureRecipe(families=("local_outlier_factor",))
SKIN = FeatureRecipe(families=("skin_neighbours",))


def standardised(cohort: Cohort) -> np.ndarray:
    """Strong columns in each patient's standard deviations, gaps closed by the patient's median."""
    frame = pd.DataFrame(cohort.table.select("patient_id", *STRONG).to_dict(as_series=False))
    groups = frame.groupby("patient_id")[list(STRONG)]
    filled = frame[list(STRONG)].fillna(groups.transform("median")).fillna(0)
    groups = filled.groupby(frame["patient_id"])
    return ((filled - groups.transform("mean")) / (groups.transform("std").fillna(0) + 1e-5)).to_numpy()


def test_local_outlier_factor_equals_scikit_learn_per_patient(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((2, 3, 20, 21, 22, 150), missing=0.05)
    table = build(cohort, LOF)
    points = standardised(cohort)
    for patient in np.unique(cohort.groups):
        rows = np.flatnonzero(cohort.groups == patient)
        model = LocalOutlierFactor(n_neighbors=min(20, len(rows) - 1)).fit(points[rows])
        found = table.frame["local_outlier_factor"].to_numpy()[rows]
        np.testing.assert_allclose(found, -model.negative_outlier_factor_, rtol=1e-4)
        distances, _ = model.kneighbors()
        for name, expected in (
            ("nearest_distance", distances[:, 0]),
            ("neighbour_distance", distances.mean(axis=1)),
            ("neighbour_distance_gap", distances[:, -1] - distances[:, 0]),
        ):
            np.testing.assert_allclose(table.frame[name].to_numpy()[rows], expected, rtol=1e-4, atol=1e-5)


def test_the_odd_one_out_has_the_largest_factor(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((80,))
    odd = cohort.ids[13]
    shifted = [pl.when(pl.col("isic_id") == odd).then(pl.col(c) + 30).otherwise(pl.col(c)) for c in STRONG[:5]]
    table = build(Cohort(cohort.table.with_columns(shifted), cohort.task, True), LOF)
    assert table.frame["local_outlier_factor"].arg_max() == 13


def skin_by_loop(cohort: Cohort, k: int) -> tuple[np.ndarray, np.ndarray]:
    points = standardised(cohort)
    position = cohort.table.select("tbp_lv_x", "tbp_lv_y", "tbp_lv_z").cast(pl.Float64).to_numpy()
    difference, distance = np.zeros_like(points), np.full((len(points), 2), np.nan)
    for i, here in enumerate(position):
        others = [
            j
            for j in range(len(points))
            if j != i and cohort.groups[j] == cohort.groups[i] and not np.isnan(position[j]).any()
        ]
        if np.isnan(here).any() or not others:
            continue
        away = np.sqrt(((position[others] - here) ** 2).sum(1))
        nearest = np.argsort(away)[:k]
        difference[i] = points[i] - points[np.array(others)[nearest]].mean(0)
        distance[i] = away[nearest[0]], away[nearest].mean()
    return difference, distance


def check_skin(table: FeatureTable, cohort: Cohort, k: int) -> None:
    difference, distance = skin_by_loop(cohort, k)
    holes = cohort.table.select(pl.col(STRONG).is_null()).to_numpy()
    for j, name in enumerate(STRONG):
        expected = np.where(holes[:, j], np.nan, difference[:, j])
        found = table.frame[f"{name}_skin_difference"].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(table.frame["skin_nearest_distance"].to_numpy(), distance[:, 0], rtol=1e-5)
    np.testing.assert_allclose(table.frame["skin_neighbour_distance"].to_numpy(), distance[:, 1], rtol=1e-5)


def test_skin_neighbours_equal_a_loop(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((1, 2, 4, 40))
    check_skin(build(cohort, SKIN), cohort, 5)


def test_skin_neighbours_with_missing_cells(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((1, 2, 4, 40), missing=0.1)
    check_skin(build(cohort, SKIN.model_copy(update={"skin_neighbours": 2})), cohort, 2)


def test_a_column_without_any_value_does_not_matter(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((30,))
    empty = Cohort(cohort.table.with_columns(pl.lit(None, pl.Float64).alias(STRONG[0])), cohort.task, True)
    fewer = LOF.model_copy(update={"outlier_columns": STRONG[1:]})
    found, expected = build(empty, LOF).frame, build(cohort, fewer).frame
    for name in expected.columns[1:]:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_shift_and_scale_change_nothing(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((10, 60))
    moved = Cohort(cohort.table.with_columns(pl.col(STRONG) * 7 + 100), cohort.task, True)
    for name in ("local_outlier_factor", "nearest_distance", "neighbour_distance"):
        np.testing.assert_allclose(build(cohort, LOF).frame[name], build(moved, LOF).frame[name], rtol=1e-4)
