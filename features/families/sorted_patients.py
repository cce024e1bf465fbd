"""Ranks, medians and median deviations of each patient's lesions from one sort of each column.

Rows are sorted by patient. Sorting a patient's values once puts its ties side by side (ranks), its middle in the middle
(median) and its deviations into two rising runs, below and above the median, whose own middle is found by bisection.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NORMAL_FROM_MEDIAN_DEVIATION = 1.4826
"""sd / median absolute deviation of a normal distribution."""
NORMAL_FROM_MEAN_DEVIATION = 1.2533
"""sd / mean absolute deviation of a normal distribution (Iglewicz and Hoaglin 1993, for a median deviation of 0)."""

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Patients:
    """Where each patient's rows begin and how many there are."""

    starts: Ints
    sizes: Ints

    @classmethod
    def of(cls, sizes: Ints) -> "Patients":
        """Patients whose rows follow each other."""
        return cls(np.cumsum(sizes) - sizes, sizes)

    def spread(self, figure: npt.NDArray[np.number]) -> npt.NDArray[Any]:
        """A figure of each patient at each of its rows."""
        return np.repeat(figure, self.sizes)


@dataclass(frozen=True)
class SortedColumn:
    """One column, each patient's values in rising order and the missing ones last."""

    patients: Patients
    order: Ints
    """Rows in that order; patients stay where they are."""
    values: Floats
    """In that order; NaN is missing."""
    known: Ints
    """Values that are not missing, by patient."""

    def ranks(self) -> Float32:
        """(rank - 0.5) / values of the patient, the mean rank for ties, in the order of the rows."""
        missing = np.isnan(self.values)
        # A missing value is a run of its own, whose rank is then removed.
        new = np.append(True, (self.values[1:] != self.values[:-1]) | missing[1:])
        new[self.patients.starts] = True
        begin = np.flatnonzero(new)
        length = np.diff(np.append(begin, len(new)))
        place = begin + 0.5 * length
        share = np.repeat(place, length) - self.patients.spread(self.patients.starts)
        with np.errstate(divide="ignore", invalid="ignore"):
            share /= self.patients.spread(self.known)
        share[missing] = np.nan
        result = np.empty(len(share), np.float32)
        result[self.order] = share
        return result

    def robust_z(self, values: npt.NDArray[np.floating], epsilon: float) -> Float32:
        """Deviation from the patient's median in robust standard deviations, in the order of the rows given."""
        medians = self.medians()
        median_deviation, mean_deviation = self.deviations(medians)
        spread = np.where(
            median_deviation > 0,
            NORMAL_FROM_MEDIAN_DEVIATION * median_deviation,
            NORMAL_FROM_MEAN_DEVIATION * mean_deviation,
        )
        found = (values - self.patients.spread(medians)) / self.patients.spread(spread + epsilon)
        return np.asarray(found, dtype=np.float32)

    def medians(self) -> Floats:
        """Median of each patient; NaN where it has no value."""
        return self._middle(self.values)

    def deviations(self, medians: Floats) -> tuple[Floats, Floats]:
        """Median and mean of the absolute deviations from the patient's median."""
        deviation = np.abs(self.values - self.patients.spread(medians))
        mean = np.add.reduceat(np.nan_to_num(deviation), self.patients.starts) / np.maximum(self.known, 1)
        mean[self.known == 0] = np.nan
        below = self._below(medians)
        lower = self._smallest(deviation, below, (self.known - 1) // 2)
        upper = self._smallest(deviation, below, self.known // 2)
        return (lower + upper) / 2, mean

    def _middle(self, values: Floats) -> Floats:
        """Mean of the two values in the middle, which are one for an odd number."""
        first = self.patients.starts
        last = len(values) - 1
        lower = values[np.minimum(first + np.maximum(self.known - 1, 0) // 2, last)]
        upper = values[np.minimum(first + self.known // 2, last)]
        middle = (lower + upper) / 2
        middle[self.known == 0] = np.nan
        return np.asarray(middle)

    def _below(self, medians: Floats) -> Ints:
        """How many of a patient's values are below its median: they are the first ones."""
        is_below = self.values < self.patients.spread(medians)
        return np.add.reduceat(is_below, self.patients.starts, dtype=np.int64)

    def _smallest(self, deviation: Floats, below: Ints, wanted: Ints) -> Floats:
        """The value at place `wanted` (from 0) among each patient's deviations.

        They fall over the first `below` values and rise over the others; of the `wanted` smaller ones, some are the
        last before the median and the rest the first after it. Bisection finds how many come from before.
        """
        middle = self.patients.starts + below
        above = self.known - below
        low, high = np.maximum(0, wanted - above), np.minimum(wanted, below)
        end = len(deviation) - 1
        while (open_ := low < high).any():
            taken = (low + high) // 2
            # Enough come from before when the next one there is not smaller than the last one taken after.
            next_before = deviation[np.clip(middle - 1 - taken, 0, end)]
            enough = next_before >= deviation[np.clip(middle + wanted - taken - 1, 0, end)]
            high = np.where(open_ & enough, taken, high)
            low = np.where(open_ & ~enough, taken + 1, low)
        before = np.where(low < below, deviation[np.clip(middle - 1 - low, 0, end)], np.inf)
        after = np.where(wanted - low < above, deviation[np.clip(middle + wanted - low, 0, end)], np.inf)
        found = np.minimum(before, after)
        found[self.known == 0] = np.nan
        return np.asarray(found)


def sorted_columns(columns: list[npt.NDArray[np.floating]], patients: Patients) -> list[SortedColumn]:
    """Sort every patient's values of all columns, patient by patient while they are in the cache."""
    together = np.stack(columns)
    orders = np.empty(together.shape, np.int64)
    for start, size in zip(patients.starts.tolist(), patients.sizes.tolist(), strict=True):
        own = slice(start, start + size)
        np.add(together[:, own].argsort(axis=1), start, out=orders[:, own])
    found = []
    for place, values in enumerate(together):
        order = orders[place]
        ordered = values[order].astype(np.float64)
        known = np.asarray(np.add.reduceat(~np.isnan(ordered), patients.starts, dtype=np.int64))
        found.append(SortedColumn(patients, order, ordered, known))
    return found
