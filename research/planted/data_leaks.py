"""Leaks that sit in the data: what they do to a cohort, and what the audit's searches make of it."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.folds import FoldRecipe, make_folds
from pipeline.audit.deal import Ints
from pipeline.audit.duplicates import across, alike, measured_columns, same_patients
from pipeline.audit.giveaways import fold_columns
from pipeline.audit.hashes import Bytes

MOST_COPIES = 40


@dataclass(frozen=True)
class Pictures:
    """A cohort with its pictures and folds."""

    cohort: Cohort
    images: Bytes
    present: npt.NDArray[np.bool_]
    fold: Ints


@dataclass(frozen=True)
class DataLeak:
    """One mistake in the data."""

    name: str
    plant: Callable[[Pictures], Pictures]


def replicated_before_the_split(given: Pictures) -> Pictures:
    """Malignant lesions are copied, mirrored and turned, each copy as a new patient; then the folds are made."""
    cohort, task = given.cohort, given.cohort.task
    rows = np.flatnonzero((cohort.target > 0) & given.present)[:MOST_COPIES]
    copies = cohort.table[rows].with_columns(
        (pl.col(name).cast(pl.String) + "-copy").alias(name) for name in (task.lesion, task.group)
    )
    larger = dataclasses.replace(cohort, table=pl.concat([cohort.table, copies]), fingerprint="replicated")
    turned = np.rot90(given.images[rows][:, :, ::-1], axes=(1, 2))
    folds = make_folds(larger, FoldRecipe(count=int(given.fold.max()) + 1, max_positive_imbalance=9.0))
    return Pictures(
        larger,
        np.concatenate([given.images, turned]),
        np.concatenate([given.present, given.present[rows]]),
        folds.fold,
    )


def a_column_made_fold_by_fold(given: Pictures) -> Pictures:
    """A measurement is shifted from fold to fold, as a column computed fold by fold would be."""
    name = measured_columns(given.cohort)[0]
    spread = given.cohort.table[name].std()
    shifted = pl.col(name) + 2 * pl.Series(given.fold) * spread
    return dataclasses.replace(
        given, cohort=dataclasses.replace(given.cohort, table=given.cohort.table.with_columns(shifted.alias(name)))
    )


DATA_LEAKS: Sequence[DataLeak] = (
    DataLeak("lesions replicated before the split, as new patients", replicated_before_the_split),
    DataLeak("a column that knows the fold", a_column_made_fold_by_fold),
)


def data_findings(given: Pictures) -> list[str]:
    """What the searches of the data find wrong with a cohort, its pictures and its folds."""
    pairs = alike(given.images, given.present)
    copies = [pair for pair in across(pairs, given.fold) if pair.copy]
    people = same_patients(given.cohort, pairs)
    knowing = [column for column in fold_columns(given.cohort, given.fold) if column.knows_the_fold]
    found = [f"copies: {len(copies)} copied pictures across folds"] if copies else []
    found += [f"two ids: {len(people)} pairs of patient ids share lesions"] if people else []
    found += [f"fold columns: {column.name} knows the fold (p {column.p:.1e})" for column in knowing]
    return found
