"""Small cohorts of plausible numbers, for the tests of the feature families."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort, Task
from features.columns import FORBIDDEN, KNOWN

TASK = Task("isic_id", "patient_id", "target")
OTHER_DATA = {"age", "localization"}
PLACES = {"anatom_site_general": 3, "tbp_lv_location": 5, "tbp_lv_location_simple": 4}


def make_cohort(patients: Sequence[int] = (1, 2, 7, 30), seed: int = 0, missing: float = 0.0) -> Cohort:
    """One patient per entry, with that many lesions; rows shuffled; `missing` is the share of empty metadata cells."""
    rng = np.random.default_rng(seed)
    lesions = sum(patients)
    names = np.repeat([f"IP_{i:03d}" for i in range(len(patients))], patients)
    columns: dict[str, object] = {
        "isic_id": [f"ISIC_{i:06d}" for i in rng.permutation(lesions)],
        "patient_id": names,
        "target": rng.integers(0, 2, lesions),
    }
    for name, column in KNOWN.items():
        if name in OTHER_DATA:
            continue
        if column.kind == "category":
            cells = [f"{name}, {i}" for i in rng.integers(0, PLACES.get(name, 2), lesions)]
        else:
            cells = rng.normal(10, 3, lesions).tolist()
        columns[name] = [
            None if hole else cell for cell, hole in zip(cells, rng.random(lesions) < missing, strict=True)
        ]
    for name in sorted(FORBIDDEN - {"target", "dx", "dx_type"}):
        columns[name] = rng.random(lesions)
    table = pl.DataFrame(columns).sample(fraction=1.0, shuffle=True, seed=seed)
    return Cohort(table, TASK, labelled=True, forbidden=FORBIDDEN)


def make_scores(cohort: Cohort, seed: int = 0) -> pl.DataFrame:
    """Two image models' probabilities, one of them without a value for some lesions."""
    rng = np.random.default_rng(seed)
    ids = cohort.ids
    holes = rng.random(len(ids)) < 0.2
    return pl.DataFrame(
        {
            "lesion_id": ids,
            "vit": rng.random(len(ids)),
            "convnext": [None if hole else p for hole, p in zip(holes, rng.random(len(ids)), strict=True)],
        }
    ).sample(fraction=1.0, shuffle=True, seed=seed)


@pytest.fixture(scope="session")
def cohort_of() -> Callable[..., Cohort]:
    """`make_cohort`."""
    return make_cohort


@pytest.fixture(scope="session")
def scores_of() -> Callable[..., pl.DataFrame]:
    """`make_scores`."""
    return make_scores
