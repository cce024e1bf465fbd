"""Pictures and measurements that are there twice: copies in two folds, and one patient under two ids.

A copy in another fold lets a network recognise a lesion it has the answer of, however careful the split. Near hashes
only nominate; the pictures themselves decide. `hashes.py` finds the pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.images.shards import Pictures
from data.progress import Progress, silent
from pipeline.audit.hashes import SYMMETRIES, Bytes, Ints, hashes, near_pairs, thumbnails, turned

RADIUS = 16
"""Bits of 272 in which two hashes may differ to be looked at."""
COPY_LEVELS = 3.0
"""Mean difference, in levels of 255, up to which a picture is a copy: saving a JPEG again moves 1 or 2."""
MEASURED_ALIKE = 8
"""Equal measurements, at least, that make two rows of different patients the same lesion."""


@dataclass(frozen=True)
class Pair:
    """Two lesions whose pictures are alike."""

    one: int
    other: int
    """Rows of the training table."""
    bits: int
    levels: float
    """Mean absolute difference of the pictures in grey levels, after turning."""
    symmetry: int
    """How the other is turned: 0 as it is, 1 to 3 quarter turns, 4 to 7 mirrored and turned."""

    @property
    def copy(self) -> bool:
        """True when it is the same picture, perhaps turned or saved again; else only alike."""
        return self.levels <= COPY_LEVELS


@dataclass(frozen=True)
class SamePatient:
    """Two patient ids that seem to be one person."""

    one: str
    other: str
    copies: int
    """Pairs of copied pictures."""
    equal_rows: int
    """Pairs of rows with equal measurements."""
    agreeing: tuple[str, ...]
    """Facts about the person that agree (of age and sex)."""


def alike(images: Pictures, present: npt.NDArray[np.bool_], *, radius: int = RADIUS, progress: Progress = silent
          ) -> list[Pair]:  # fmt: skip
    """Pairs of lesions with near pictures in any of the eight symmetries, the most alike first."""
    small = thumbnails(images, progress)
    # A picture of one colour has no gradient: it is near every other such picture and tells nothing.
    rows = np.flatnonzero(present & (small.reshape(len(small), -1).std(axis=1) > 1.0))
    plain = hashes(small[rows])
    best: dict[tuple[int, int], Pair] = {}
    for symmetry in range(SYMMETRIES):
        if symmetry == 0:
            i, j, bits = near_pairs(plain, radius=radius)
        else:
            i, j, bits = near_pairs(plain, hashes(np.ascontiguousarray(turned(small[rows], symmetry))), radius=radius)
        for one, other, apart in zip(rows[i].tolist(), rows[j].tolist(), bits.tolist(), strict=True):
            if one == other:
                continue
            levels = picture_difference(images[one], images[other], symmetry)
            pair = Pair(min(one, other), max(one, other), apart, levels, symmetry)
            known = best.get((pair.one, pair.other))
            if known is None or pair.levels < known.levels:
                best[pair.one, pair.other] = pair
    return sorted(best.values(), key=lambda pair: (pair.levels, pair.bits, pair.one, pair.other))


def picture_difference(one: Bytes, other: Bytes, symmetry: int) -> float:
    """Mean absolute difference of two pictures, the second one turned."""
    same_way = turned(other[None], symmetry)[0]
    return float(np.abs(one.astype(np.int16) - same_way.astype(np.int16)).mean())


def across(pairs: Sequence[Pair], fold: Ints) -> list[Pair]:
    """Pairs whose lesions are in different folds."""
    return [pair for pair in pairs if fold[pair.one] != fold[pair.other]]


def measured_columns(cohort: Cohort) -> list[str]:
    """Decimal numbers that are measured on the lesion: equal ones in two lesions are no accident."""
    hidden = {cohort.task.target, *cohort.forbidden}
    table = cohort.table
    return [
        name
        for name in table.columns
        if name not in hidden and table.schema[name].is_float() and table[name].n_unique() > 0.5 * table.height
    ]


def equal_rows(cohort: Cohort) -> pl.DataFrame:
    """Rows (`one`, `other`) of different patients with equal values in every measured column."""
    columns = measured_columns(cohort)
    empty = pl.DataFrame(schema={"one": pl.Int64, "other": pl.Int64})
    if len(columns) < MEASURED_ALIKE:
        return empty
    table = cohort.table.select(
        *columns, patient=pl.col(cohort.task.group), row=pl.int_range(pl.len(), dtype=pl.Int64)
    ).filter(pl.all_horizontal(pl.col(columns).is_not_null()))
    repeated = table.filter(pl.struct(columns).is_duplicated())
    joined = repeated.join(repeated, on=columns, suffix="_other")
    return joined.filter((pl.col("row") < pl.col("row_other")) & (pl.col("patient") != pl.col("patient_other"))).select(
        one="row", other="row_other"
    )


def same_patients(cohort: Cohort, pairs: Sequence[Pair]) -> list[SamePatient]:
    """Pairs of patient ids that share a copied picture or a measured row, those with most in common first."""
    groups = cohort.groups
    copies = [(pair.one, pair.other) for pair in pairs if pair.copy and groups[pair.one] != groups[pair.other]]
    rows = [(int(one), int(other)) for one, other in equal_rows(cohort).iter_rows()]
    counts: dict[tuple[str, str], list[int]] = {}
    places: dict[tuple[str, str], tuple[int, int]] = {}
    for kind, found in enumerate((copies, rows)):
        for one, other in found:
            key = (str(min(groups[one], groups[other])), str(max(groups[one], groups[other])))
            counts.setdefault(key, [0, 0])[kind] += 1
            places.setdefault(key, (one, other))
    facts = [name for name in ("age_approx", "age", "sex") if name in cohort.table.columns]
    result = []
    for key, (n_copies, n_rows) in counts.items():
        one, other = places[key]
        agreeing = tuple(name for name in facts if cohort.table[name][one] == cohort.table[name][other])
        result.append(SamePatient(key[0], key[1], n_copies, n_rows, agreeing))
    return sorted(result, key=lambda same: (-same.copies - same.equal_rows, same.one, same.other))
