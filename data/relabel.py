"""Lesions of ISIC 2024 that were worth a biopsy, by the train-only diagnosis columns, and what training makes of them.

FusionNetX's curated set C, read as the third-placed public solution did: 1 for lesions whose `iddx_1` is
Indeterminate or whose `iddx_2` is present, `target` for all others. Only a training label: folds, scores and
features never see it.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError


def relabelled(cohort: Cohort) -> npt.NDArray[np.int64]:
    """The larger positive class, in table order."""
    worth = worth_a_biopsy(cohort, "an image model asks for labels = 'relabelled'", "use labels = 'target' for it")
    label: npt.NDArray[np.int64] = np.where(worth, 1, cohort.target)
    return label


def biopsied_benign(cohort: Cohort) -> npt.NDArray[np.bool_]:
    """Lesions that were worth a biopsy and are not malignant, in table order."""
    wanted = "tabular.exclude = 'biopsied_benign' is asked for"
    worth = worth_a_biopsy(cohort, wanted, "set tabular.exclude = 'none'")
    return np.asarray(worth & (cohort.target == 0), dtype=np.bool_)


def worth_a_biopsy(cohort: Cohort, wanted: str, remedy: str) -> npt.NDArray[np.bool_]:
    """Lesions found indeterminate or with a second level of diagnosis; DataError where the table does not say."""
    absent = [name for name in ("iddx_1", "iddx_2") if name not in cohort.table.columns]
    if absent:
        raise DataError(f"{wanted}, but the training table has no {' and no '.join(absent)}; {remedy}")
    worth = (pl.col("iddx_1") == "Indeterminate").fill_null(False) | pl.col("iddx_2").is_not_null()
    return np.asarray(cohort.table.select(worth.alias("worth"))["worth"].to_numpy(), dtype=np.bool_)
