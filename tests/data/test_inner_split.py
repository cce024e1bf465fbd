"""Inner splits and the allocation of groups: whole groups, classes in proportion, nothing lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.inner_split import _spread_classes, assign_groups, class_counts, inner_split


def sample_of(seed, n_groups=200, rate=0.02, mean_lesions=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"IP_{i:04d}" for i in range(n_groups)], rng.geometric(1 / mean_lesions, n_groups))
    return groups, (rng.random(len(groups)) < rate).astype(np.int64)


@st.composite
def tables(draw):
    """From two lesions of two patients to some dozens, with up to three classes."""
    n = draw(st.integers(2, 40))
    groups = np.array(draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    groups[:2] = [0, 1]
    return groups, np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))


@given(tables(), st.sampled_from([0.05, 0.2, 0.5, 0.9]), st.integers(0, 1000))
def test_every_row_once_no_group_twice_every_class_on_both_sides_where_it_can_be(table, share, seed):
    groups, target = table
    train, inner = inner_split(groups, target, share, seed)
    assert len(train)
    assert len(inner)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, inner])), np.arange(len(groups)))
    assert not set(groups[train]) & set(groups[inner])
    if len(np.unique(target)) <= 2:  # with more, the classes of few groups can exclude each other
        for code in np.unique(target):
            if len(np.unique(groups[target == code])) >= 2:
                assert code in target[train]
                assert code in target[inner]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_shares_are_kept_for_rows_and_positives(share, seed):
    groups, target = sample_of(seed)
    train, inner = inner_split(groups, target, share, seed)
    assert len(inner) / len(target) == pytest.approx(share, abs=0.01)
    assert target[inner].sum() / target.sum() == pytest.approx(share, abs=0.03)
    assert train.dtype == inner.dtype == np.int64
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(inner) > 0)


def test_inner_groups_are_not_only_the_small_ones():
    sizes = []
    for seed in range(40):
        groups, target = sample_of(0)
        _, inner = inner_split(groups, target, 0.2, seed)
        sizes.append(len(inner) / len(np.unique(groups[inner])))
    overall = len(groups) / len(np.unique(groups))
    assert np.mean(sizes) == pytest.approx(overall, rel=0.2)


def test_seeds_give_different_splits_and_the_same_seed_the_same():
    groups, target = sample_of(0)
    splits = {tuple(inner_split(groups, target, 0.2, seed)[1]) for seed in range(10)}
    assert len(splits) == 10
    np.testing.assert_array_equal(inner_split(groups, target, 0.2, 3)[1], inner_split(groups, target, 0.2, 3)[1])


def test_every_patient_who_fits_is_sometimes_inner():
    groups, target = sample_of(0, n_groups=40, rate=0.1)
    seen = set()
    for seed in range(100):
        seen |= set(groups[inner_split(groups, target, 0.2, seed)[1]])
    names, code = np.unique(groups, return_inverse=True)
    counts = class_counts(code, target, 2)
    fits = names[(counts / counts.sum(axis=0)).max(axis=1) < 0.2 / 2]
    assert len(fits) >= 38
    assert set(fits) <= seen


def test_the_order_of_rows_does_not_matter():
    groups, target = sample_of(0)
    order = np.random.default_rng(1).permutation(len(groups))
    _, inner = inner_split(groups, target, 0.2, 3)
    _, moved = inner_split(groups[order], target[order], 0.2, 3)
    assert set(groups[inner]) == set(groups[order][moved])


def test_spreading_one_class_does_not_take_away_another():
    # Part 1 lacks class 1. Group 0 is the smaller carrier, but the only one of class 0 in part 0: group 1 moves.
    part = np.array([0, 0, 1])
    _spread_classes(part, np.array([[1, 1], [0, 5], [3, 0]]), 2)
    assert part.tolist() == [0, 1, 1]


def test_two_patients_with_positives_are_divided():
    groups = np.repeat(np.arange(50), 10)
    target = np.zeros(500, dtype=int)
    target[[0, 10]] = 1
    for seed in range(20):
        train, inner = inner_split(groups, target, 0.1, seed)
        assert target[train].sum() == target[inner].sum() == 1


def test_one_patient_cannot_be_divided():
    with pytest.raises(ValueError, match="at least two groups"):
        inner_split([1, 1], [0, 1], 0.5, 0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_share_is_between_0_and_1(share):
    with pytest.raises(ValueError, match="share"):
        inner_split([1, 2], [0, 1], share, 0)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="3 groups for 2 targets"):
        inner_split([1, 2, 3], [0, 1], 0.5, 0)


def test_class_counts():
    counts = class_counts(np.array([0, 1, 1, 2]), np.array([0, 1, 1, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 2, 0], [1, 0, 0]])


@given(st.integers(0, 1000), st.integers(2, 8))
def test_equal_shares_are_balanced_to_within_the_largest_group(seed, n_parts):
    rng = np.random.default_rng(seed)
    counts = np.column_stack([rng.geometric(0.05, 60), rng.integers(0, 3, 60)])
    part = assign_groups(counts, np.full(n_parts, 1 / n_parts), rng)
    held = np.stack([counts[part == k].sum(axis=0) for k in range(n_parts)])
    assert np.all(np.ptp(held, axis=0) <= counts.max(axis=0) + 1)
