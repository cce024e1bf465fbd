"""What a person should know of a new lesion before believing its answer: what is missing, what training never had."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from pipeline.seen import Seen

NAMED = 3
"""So many measurements are named; of more, the number."""
SHOWN = 3
"""So many of the strange values of a column are shown."""
LOUD_SHARE = 0.05
"""A warning is printed when this share of the lesions has a value that training had not."""


def notes_of(cohort: Cohort, seen: Seen, without_image: npt.NDArray[np.bool_]) -> pl.Series:
    """One text a lesion, empty where there is nothing to say."""
    table = cohort.table
    parts = [
        pl.when(pl.lit(pl.Series(without_image))).then(pl.lit("no usable image")),
        missing_measurements([name for name in seen.numbers if name in table.columns]),
        *(outside(name, *ends) for name, ends in seen.numbers.items() if name in table.columns),
        *(unseen(name, values) for name, values in seen.categories.items() if name in table.columns),
    ]
    return table.select(pl.concat_str(parts, separator="; ", ignore_nulls=True).alias("notes")).to_series()


def missing_measurements(names: list[str]) -> pl.Expr:
    """Which numbers are not there."""
    if not names:
        return pl.lit(None, dtype=pl.String)
    absent = {name: ~pl.col(name).cast(pl.Float64).is_finite().fill_null(False) for name in names}
    count = pl.sum_horizontal(one.cast(pl.Int32) for one in absent.values())
    named = pl.concat_str(
        [pl.when(one).then(pl.lit(name)) for name, one in absent.items()], separator=", ", ignore_nulls=True
    )
    return (
        pl.when(count > NAMED)
        .then(pl.format("{} of {} measurements missing", count, pl.lit(len(names))))
        .when(count > 0)
        .then(pl.format("missing: {}", named))
    )


def outside(name: str, low: float, high: float) -> pl.Expr:
    """A number that training had not."""
    value = pl.col(name).cast(pl.Float64)
    strange = value.is_finite() & ((value < low) | (value > high))
    text = pl.format("{} {} outside {} to {}", pl.lit(name), value, pl.lit(f"{low:g}"), pl.lit(f"{high:g}"))
    return pl.when(strange.fill_null(False)).then(text)


def unseen(name: str, values: tuple[str, ...]) -> pl.Expr:
    """A category that training had not."""
    value = pl.col(name).cast(pl.String)
    text = pl.format("{} '{}' unknown to the models", pl.lit(name), value)
    return pl.when(is_unseen(value, values)).then(text)


def is_unseen(value: pl.Expr, values: tuple[str, ...]) -> pl.Expr:
    """Whether there is a value and it is none of these."""
    return value.is_not_null() & ~value.is_in(list(values))


def strangers(cohort: Cohort, seen: Seen) -> Iterator[str]:
    """A warning for each column of which many lesions have a value that training had not."""
    counted = Strangers(seen)
    counted.see(cohort)
    return counted.warnings()


@dataclass
class Strangers:
    """Counts values that training had not, over all parts of a table."""

    seen: Seen
    noun: str = ""
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Lesions with such a value, by column."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """The first of these values, by column."""

    def see(self, cohort: Cohort) -> None:
        """Count another part."""
        table, self.noun = cohort.table, cohort.task.row_noun
        self.rows += len(table)
        for name, values in {**self.seen.categories, **self.seen.others}.items():
            if name not in table.columns:
                continue
            strange = table.filter(is_unseen(pl.col(name).cast(pl.String), values))[name].cast(pl.String)
            self.counts[name] += len(strange)
            before = self.shown.get(name, [])
            if len(before) < SHOWN:
                new = strange.unique(maintain_order=True).head(2 * SHOWN).to_list()
                self.shown[name] = list(dict.fromkeys((*before, *new)))[:SHOWN]
        for name, (low, high) in self.seen.numbers.items():
            if name in table.columns:
                value = table[name].cast(pl.Float64)
                self.counts[name] += int(((value < low) | (value > high)).fill_null(False).sum())

    def warnings(self) -> Iterator[str]:
        """A warning for each column of which too large a share is strange."""
        for name, count in self.counts.items():
            if count <= LOUD_SHARE * self.rows:
                continue
            if name in self.shown:
                yield (
                    f"{count / self.rows:.0%} of the {self.noun}s have a value of {name} that training had not "
                    f"({', '.join(self.shown[name])}): whether the answers hold there is not known. Check them on "
                    "labelled ones of that kind, and recalibrate"
                )
            else:
                low, high = self.seen.numbers[name]
                share = f"{count / self.rows:.0%} of the {self.noun}s"
                yield f"{share} have a {name} outside the trained range, {low:g} to {high:g}"
