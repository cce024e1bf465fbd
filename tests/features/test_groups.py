import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.groups import Groups, z_scores


def by_loop(values: np.ndarray, key: np.ndarray, epsilon: float) -> np.ndarray:
    result = np.full(len(values), np.nan)
    for k in np.unique(key):
        rows = np.flatnonzero((key == k) & ~np.isnan(values))
        group = values[rows]
        sd = group.std(ddof=1) if len(group) > 1 else 0.0
        result[rows] = (group - group.mean()) / (sd + epsilon) if len(group) else group
    return result


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.one_of(st.none(), st.floats(-1e3, 1e3, width=32))), min_size=1, max_size=60
    )
)
def test_equals_a_loop_over_groups(rows: list[tuple[int, float | None]]) -> None:
    key = np.array([k for k, _ in rows], np.uint64)
    values = np.array([np.nan if v is None else v for _, v in rows])
    np.testing.assert_allclose(Groups(key).z_scores(values, 1e-5), by_loop(values, key, 1e-5), rtol=1e-4, atol=1e-4)


@given(st.floats(-100, 100), st.floats(0.1, 100))
def test_shift_and_scale_change_nothing(shift: float, scale: float) -> None:
    rng = np.random.default_rng(7)
    key = rng.integers(0, 5, 80).astype(np.uint32)
    values = rng.normal(size=80)
    groups = Groups(key)
    np.testing.assert_allclose(
        groups.z_scores(values, 1e-9), groups.z_scores(values * scale + shift, 1e-9), rtol=1e-4, atol=1e-5
    )


def test_one_value_a_constant_and_nothing_at_all() -> None:
    key = np.array([0, 1, 1, 1, 2, 2, 3, 3], np.uint32)
    values = np.array([5.0, 0.1, 0.1, 0.1, np.nan, 4.0, np.nan, np.nan])
    z = Groups(key).z_scores(values, 1e-5)
    assert np.abs(z[:4]).max() < 1e-9
    assert z[5] == 0
    assert np.isnan(z[[4, 6, 7]]).all()


def test_mean_0_and_sd_1_in_every_group() -> None:
    rng = np.random.default_rng(1)
    key = rng.integers(0, 3, 500).astype(np.uint32)
    z = Groups(key).z_scores(rng.gamma(2, 50, 500), 1e-12)
    for k in range(3):
        assert z[key == k].mean() == pytest.approx(0, abs=1e-5)
        assert z[key == k].std(ddof=1) == pytest.approx(1, rel=1e-5)


def test_several_columns_and_no_rows() -> None:
    frame = pl.DataFrame(
        {"key": [1, 1, 2], "a": [1.0, 3.0, 9.0], "b": [0.0, None, 1.0]}, schema_overrides={"key": pl.UInt32}
    )
    a, b = z_scores(frame, ["a", "b"], "key", 1e-12)
    np.testing.assert_allclose(a, [-(0.5**0.5), 0.5**0.5, 0], rtol=1e-6)
    np.testing.assert_array_equal(b, [0, np.nan, 0])
    assert [len(values) for values in z_scores(frame.head(0), ["a", "b"], "key", 1e-5)] == [0, 0]
