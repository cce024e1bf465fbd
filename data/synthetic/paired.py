"""Pairs of invented lesions and invented patients: whoever comes first, gets the next patient.

The pairs are drawn without a look at any label, so that the patients' columns tell nothing of the lesions.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from data.cohort import Cohort

LEFT_ALONE = 0.1
"""Share of the lesions without a patient."""


def draw_pairs(lesions: Cohort, patients: Sequence[str], seed: int) -> pl.DataFrame:
    """The table of pairs: one patient for all images of a group."""
    rng = np.random.default_rng([seed, 50])
    groups = rng.permutation(np.unique(lesions.groups))
    kept = groups[round(LEFT_ALONE * groups.size) :]
    of_group = {str(group): patients[place % len(patients)] for place, group in enumerate(kept)}
    pairs = [(str(name), of_group.get(str(group))) for name, group in zip(lesions.ids, lesions.groups, strict=True)]
    paired = [(name, patient) for name, patient in pairs if patient is not None]
    return pl.DataFrame(paired, schema=["image_id", "patient_id"], orient="row")
