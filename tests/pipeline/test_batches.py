"""Batches of new lesions: whole patients, and every lesion once."""

import numpy as np

from features.recipe import FeatureRecipe
from pipeline.actions.predict import patient_batches


def test_patients_stay_whole_and_every_lesion_comes_once():
    rng = np.random.default_rng(0)
    groups = np.array([f"P{i}" for i in rng.integers(0, 40, 500)])
    batches = list(patient_batches(groups, FeatureRecipe(families=("published",)), 60))
    assert len(batches) > 5
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    largest = max(np.unique(groups, return_counts=True)[1])
    for rows in batches:
        assert np.all(np.diff(rows) > 0)
        assert len(rows) < 60 + largest
    for name in np.unique(groups):
        assert sum(bool(np.any(groups[rows] == name)) for rows in batches) == 1


def test_few_lesions_are_one_batch():
    [rows] = patient_batches(np.array(["a", "b"]), FeatureRecipe(), 60)
    assert rows.tolist() == [0, 1]
