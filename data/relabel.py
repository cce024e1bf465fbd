"""The worth-a-biopsy training label of ISIC 2024, made from the train-only diagnosis columns.

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
    absent = [name for name in ("iddx_1", "iddx_2") if name not in cohort.table.columns]
    if absent:
        raise DataError(
            f"an image model asks for labels = 'relabelled', but the training table has no {' and no '.join(absent)}; "
            "use labels = 'target' for it"
        )
    worth_a_biopsy = (pl.col("iddx_1") == "Indeterminate").fill_null(False) | pl.col("iddx_2").is_not_null()
    label = cohort.table.select(
        pl.when(worth_a_biopsy).then(1).otherwise(pl.col(cohort.task.target)).alias("label").cast(pl.Int64)
    )["label"]
    return label.to_numpy()
