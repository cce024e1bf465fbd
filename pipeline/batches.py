"""New lesions in batches of whole patients, so that half a million need no more memory for features than a few do."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe

AT_ONCE = 25_000
"""Lesions, and the last patient's others: their features take some 50 MB, and a batch costs little beside its work."""


def patient_batches(groups: npt.NDArray[Any], recipe: FeatureRecipe, most: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of whole patients; every row at once where a family of features looks at the whole table."""
    if len(groups) <= most or any(FAMILIES[name].looks_at == "table" for name in recipe.chosen):
        yield np.arange(len(groups))
        return
    _, first, patient = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.bincount(patient)
    order = np.argsort(first)
    start = np.empty(len(counts), dtype=np.int64)
    start[order] = np.cumsum(counts[order]) - counts[order]
    batch = (start // most)[patient]
    for one in np.unique(batch):
        yield np.flatnonzero(batch == one).astype(np.int64)
