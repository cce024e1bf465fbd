"""Ranks, medians and median deviations from one sort, against numpy and scipy patient by patient."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from features.families.sorted_patients import Patients, sorted_columns

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 10_000), st.sampled_from([2, 5, 1000]), st.sampled_from([0.0, 0.3, 1.0]))
def test_every_figure(sizes: list[int], seed: int, levels: int, missing: float) -> None:
    """Few levels make ties, and medians that more than half of the values share."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, sum(sizes)) / 7.0
    values[rng.random(len(values)) < missing] = np.nan
    patients = Patients.of(np.array(sizes))
    (column,) = sorted_columns([values], patients)
    medians = column.medians()
    median_deviations, mean_deviations = column.deviations(medians)
    ranks = column.ranks()
    for patient, (start, size) in enumerate(zip(patients.starts, sizes, strict=True)):
        own = values[start : start + size]
        known = own[~np.isnan(own)]
        if not len(known):
            assert np.isnan([medians[patient], median_deviations[patient], mean_deviations[patient]]).all()
            assert np.isnan(ranks[start : start + size]).all()
            continue
        assert medians[patient] == np.median(known)
        distance = np.abs(known - np.median(known))
        assert median_deviations[patient] == pytest.approx(np.median(distance))
        assert mean_deviations[patient] == pytest.approx(distance.mean())
        expected = np.full(size, np.nan)
        expected[~np.isnan(own)] = (rankdata(known) - 0.5) / len(known)
        np.testing.assert_allclose(ranks[start : start + size], expected, rtol=1e-6)
