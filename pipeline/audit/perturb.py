"""The same cohort with something about the lesions of one fold changed: their answers, or everything about them."""

import dataclasses

import numpy as np
import polars as pl

from data.cohort import Cohort
from data.files import fingerprint
from data.images.pack import ImagePack
from data.images.shards import Pictures
from pipeline.audit.deal import Ints

EVERY = 3
"""Every third label of the fold is turned: both classes stay in it, and its share of positives changes a lot."""


def other_answers(cohort: Cohort, rows: Ints, seed: int) -> Cohort:
    """Turned labels, and other values in every column that is known only after the diagnosis, for these rows."""
    task, table = cohort.task, cohort.table
    target = cohort.target.copy()
    target[rows[::EVERY]] = (target[rows[::EVERY]] + 1) % len(task.classes)
    rng = np.random.default_rng(seed)
    changed = [pl.Series(task.target, target).cast(table.schema[task.target])]
    for name in sorted(cohort.forbidden & set(table.columns) - {task.target}):
        known = table[name].drop_nulls()
        if len(known):
            changed.append(put(table[name], rows, known[rng.integers(len(known), size=len(rows))]))
    return with_columns(cohort, changed, "other answers")


def other_measurements(cohort: Cohort, rows: Ints) -> Cohort:
    """Other numbers, other categories, other gaps in every published column, for these rows."""
    task, table = cohort.task, cohort.table
    fixed = {task.lesion, task.group, task.target, *cohort.forbidden}
    changed = []
    for name in table.columns:
        column, given = table[name], table[name][rows]
        if name in fixed:
            continue
        if column.dtype.is_float():
            changed.append(put(column, rows, (given * 1.5 + 1.0).fill_null(7.0)))
        elif column.dtype.is_integer():
            changed.append(put(column, rows, (given.cast(pl.Int64) * 2 + 1).fill_null(7).cast(column.dtype)))
        elif column.dtype == pl.String:
            changed.append(put(column, rows, pl.Series(["never seen"] * len(rows))))
    return with_columns(cohort, changed, "other measurements")


def other_pixels(pack: ImagePack, rows: Ints) -> ImagePack:
    """The images of these rows as negatives; the copy is in memory."""

    def negative(kept: Pictures) -> Pictures:
        images = np.array(kept)
        images[rows] = 255 - images[rows]
        return images

    pictures = {name: negative(kept) for name, kept in pack.pictures.items()}
    images = next(iter(pictures.values())) if pictures else negative(pack.images)
    made_of = fingerprint({"of": pack.fingerprint, "with": "other pixels"})
    return dataclasses.replace(pack, images=images, pictures=pictures, report={**pack.report, "fingerprint": made_of})


def put(column: pl.Series, rows: Ints, values: pl.Series) -> pl.Series:
    """The column with other values in some rows."""
    return column.scatter(rows, values.cast(column.dtype)) if len(rows) else column


def with_columns(cohort: Cohort, changed: list[pl.Series], what: str) -> Cohort:
    """The cohort with these columns in place of its own, under a fingerprint of its own."""
    table = cohort.table.with_columns(changed)
    return dataclasses.replace(cohort, table=table, fingerprint=fingerprint({"of": cohort.fingerprint, "with": what}))
