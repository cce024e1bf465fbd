import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from features.families.neighbours import for_each_patient, local_outlier_factor, nearest_in_space, nearest_neighbours


def all_distances(points: np.ndarray) -> np.ndarray:
    difference = points[:, None].astype(np.float64) - points[None]
    distances = np.sqrt((difference**2).sum(-1))
    np.fill_diagonal(distances, np.inf)
    return distances


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 4), (21, 20), (130, 20), (300, 7)])
def test_equals_every_distance_sorted(n: int, k: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 17)).astype(np.float32)
    indices, distances = nearest_neighbours(points, k)
    everything = all_distances(points)
    np.testing.assert_allclose(distances, np.sort(everything, axis=1)[:, :k], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(everything, indices, 1), distances, rtol=1e-5)
    assert all(len(set(row)) == k and i not in row for i, row in enumerate(indices.tolist()))


def test_far_from_the_origin_and_nearly_equal() -> None:
    points = np.random.default_rng(0).normal(size=(60, 17)).astype(np.float32)
    points[30:] = points[:30] + np.float32(1e-4)
    points += np.float32(100)
    indices, distances = nearest_neighbours(points, 1)
    np.testing.assert_array_equal(indices[:, 0], [*range(30, 60), *range(30)])
    np.testing.assert_allclose(distances, np.sort(all_distances(points), axis=1)[:, :1], rtol=1e-3)


@given(st.integers(2, 60), st.integers(1, 8), st.booleans())
def test_a_tree_in_space_gives_the_same_distances(n: int, k: int, duplicated: bool) -> None:
    points = np.random.default_rng(n).normal(size=(n, 3))
    if duplicated:
        points[n // 3 :] = points[0]
    k = min(k, n - 1)
    indices, distances = nearest_in_space(points, k)
    np.testing.assert_allclose(distances, np.sort(all_distances(points), axis=1)[:, :k], rtol=1e-9)
    assert all(len(set(row)) == k and i not in row for i, row in enumerate(indices.tolist()))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 150), st.integers(0, 10_000))
def test_local_outlier_factor_equals_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.normal(size=(n, 17)) * rng.gamma(1, 1, (n, 1))).astype(np.float32)
    k = min(20, n - 1)
    reference = -LocalOutlierFactor(n_neighbors=k).fit(points.astype(np.float64)).negative_outlier_factor_
    np.testing.assert_allclose(local_outlier_factor(*nearest_neighbours(points, k)), reference, rtol=1e-4)


def test_duplicates_stay_finite() -> None:
    points = np.zeros((30, 17), np.float32)
    np.testing.assert_allclose(local_outlier_factor(*nearest_neighbours(points, 20)), 1)
    points[0] = 3
    factor = local_outlier_factor(*nearest_neighbours(points, 20))
    assert np.isfinite(factor).all()
    assert factor.argmax() == 0


def test_too_many_neighbours_are_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="3 neighbours among 3 points"):
        nearest_neighbours(np.zeros((3, 2), np.float32), 3)


def test_every_patient_once_and_the_largest_first() -> None:
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()

    def work(rows: slice) -> None:
        with lock:
            seen.append((rows.start, rows.stop))

    for_each_patient([3, 1, 5], work)
    assert sorted(seen) == [(0, 3), (3, 4), (4, 9)]
    with pytest.raises(ZeroDivisionError):
        for_each_patient([1], lambda rows: 1 / 0)
