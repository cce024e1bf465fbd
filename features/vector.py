"""Published columns as the numbers a network takes beside an image: fitted on training rows alone and kept as JSON.

Numbers: missing ones become the training median, then mean 0 and deviation 1, with a flag beside a column that has
gaps. Categories: one-hot, missing ones as the most frequent value (or all zeros, where asked), unseen ones all zeros.
Boosters get engineered features instead, from `features.encode`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, RecipeError
from features.encode import ONE_HOT_LIMIT

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

FARTHEST = 100.0
"""Deviations from the mean beyond which a number counts as no farther: one slip of the pen must not drown the image."""


@dataclass(frozen=True)
class NumberColumn:
    """What was fitted on one column of numbers."""

    name: str
    median: float
    """What a missing number becomes: the median, or where the recipe asks for it the mean."""
    mean: float
    """After the gaps are filled; of a column brought to 0 to 1 the smallest value."""
    deviation: float
    """Or the range; 0 for a constant column, which becomes 0 everywhere."""
    flag: bool
    """Whether a second input says where the number is missing."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the numbers it becomes."""
        return (self.name, f"{self.name} missing") if self.flag else (self.name,)

    def encode(self, column: pl.Series) -> Floats:
        """(rows, inputs)."""
        value = as_numbers(column)
        missing = np.isnan(value)
        filled = np.where(missing, self.median, value)
        if not self.deviation:
            scaled = np.zeros_like(filled)
        else:
            # A number near the largest there is overflows to an infinity, which is as far away as FARTHEST.
            with np.errstate(over="ignore"):
                scaled = np.clip((filled - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        return np.column_stack([scaled, missing] if self.flag else [scaled]).astype(np.float32)


@dataclass(frozen=True)
class CategoryColumn:
    """What was fitted on one column of categories."""

    name: str
    values: tuple[str, ...]
    """Those of the training rows, sorted."""
    mode: str | None
    """What a missing value becomes; None leaves it all zeros."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the numbers it becomes."""
        return tuple(f"{self.name} = {value}" for value in self.values)

    def encode(self, column: pl.Series) -> Floats:
        """(rows, inputs)."""
        text = column.cast(pl.String)
        text = text if self.mode is None else text.fill_null(self.mode)
        return np.column_stack([(text == value).fill_null(False).to_numpy() for value in self.values]).astype(
            np.float32
        )


@dataclass(frozen=True)
class Components:
    """Principal components of numbers: what is taken off, and a direction each."""

    mean: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, scaled: Floats, count: int) -> "Components":
        """The first `count` of the rows; DataError where there are not so many."""
        if count > min(scaled.shape):
            raise DataError(
                f"metadata: {count} components of {scaled.shape[1]} numbers and {scaled.shape[0]:,} training lesions: "
                "lower metadata.components"
            )
        exact = scaled.astype(np.float64)
        mean = exact.mean(axis=0)
        axes = np.linalg.svd(exact - mean, full_matrices=False)[2][:count]
        # A direction and its opposite are the same: the largest part points upwards.
        axes *= np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
        return cls(tuple(mean.tolist()), tuple(map(tuple, axes.tolist())))

    def of(self, scaled: Floats) -> Floats:
        """(rows, components)."""
        projected: Floats = ((scaled - np.array(self.mean)) @ np.array(self.axes).T).astype(np.float32)
        return projected


@dataclass(frozen=True)
class VectorEncoder:
    """Columns of a lesion table to one vector per lesion, in the order the recipe names them."""

    columns: tuple[NumberColumn | CategoryColumn, ...]
    components: Components | None = None
    """Of the first input of every number, which it replaces; flags and categories stand behind."""

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        rows: Integers,
        columns: Sequence[str],
        *,
        missing_flags: bool = True,
        impute: Literal["median", "mean"] = "median",
        scale: Literal["standard", "minmax"] = "standard",
        components: int = 0,
        unfilled: Sequence[str] = (),
    ) -> "VectorEncoder":
        """Fit on `rows` of the frame; missing values of the categories in `unfilled` stay all zeros."""
        if len(rows) == 0:
            raise DataError("metadata: there is no training lesion to fit the encoder on")
        refuse_absent(frame, columns, "metadata")
        training = frame.select(columns)[rows]
        empty = [name for name in columns if training[name].null_count() == len(rows)]
        if empty:
            raise DataError(
                f"metadata: column {' and '.join(empty)} has no value among the {len(rows):,} training lesions; "
                "leave it out of metadata.columns"
            )
        plain = cls(
            tuple(
                fit_number(training[name], missing_flags, impute, scale)
                if training[name].dtype.is_numeric() or training[name].dtype == pl.Boolean
                else fit_category(training[name], fill=name not in unfilled)
                for name in columns
            )
        )
        if not components:
            return plain
        scaled = plain.transform(training)[:, plain.number_places]
        return cls(plain.columns, Components.fit(scaled, components))

    @property
    def number_places(self) -> list[int]:
        """Where the numbers themselves stand, as long as no components replace them."""
        starts = np.cumsum([0, *(len(column.inputs) for column in self.columns)]).tolist()
        return [at for at, column in zip(starts, self.columns, strict=False) if isinstance(column, NumberColumn)]

    @property
    def _parts(self) -> list[tuple[str, tuple[str, ...]]]:
        """The column that inputs come from, and the inputs, part by part."""
        if self.components is None:
            return [(column.name, column.inputs) for column in self.columns]
        first = tuple(f"component {i + 1}" for i in range(len(self.components.axes)))
        rest = [(c.name, c.inputs[1:] if isinstance(c, NumberColumn) else c.inputs) for c in self.columns]
        return [("components", first), *((name, inputs) for name, inputs in rest if inputs)]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all numbers of a vector."""
        return tuple(name for _, inputs in self._parts for name in inputs)

    @property
    def sources(self) -> tuple[str, ...]:
        """What each group of inputs is made of: a column, or all numbers together."""
        return tuple(name for name, _ in self._parts)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Positions that come from one column, column by column."""
        ends = np.cumsum([len(inputs) for _, inputs in self._parts]).tolist()
        starts = [0, *ends[:-1]]
        return tuple(tuple(range(start, end)) for start, end in zip(starts, ends, strict=True))

    def positions_of(self, category: str) -> tuple[int, ...]:
        """Positions of a category's values; RecipeError when the column is one of numbers."""
        categories = {column.name for column in self.columns if isinstance(column, CategoryColumn)}
        for name, positions in zip(self.sources, self.groups, strict=True):
            if name == category and name in categories:
                return positions
        raise RecipeError(f"metadata: column {category} holds numbers, not categories: it cannot be the site_column")

    def transform(self, frame: pl.DataFrame) -> Floats:
        """(rows, inputs), finite everywhere."""
        refuse_absent(frame, [column.name for column in self.columns], "metadata")
        every = np.concatenate([column.encode(frame[column.name]) for column in self.columns], axis=1)
        if self.components is None:
            return every
        places = self.number_places
        return np.concatenate([self.components.of(every[:, places]), np.delete(every, places, axis=1)], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Everything fitted, as values that JSON holds exactly."""
        return {
            "numbers": [asdict(column) for column in self.columns if isinstance(column, NumberColumn)],
            "categories": [asdict(column) for column in self.columns if isinstance(column, CategoryColumn)],
            "order": [column.name for column in self.columns],
            **({} if self.components is None else {"components": asdict(self.components)}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "VectorEncoder":
        """The encoder that `to_json` described."""
        try:
            by_name: dict[str, NumberColumn | CategoryColumn] = {}
            for column in value["numbers"]:
                by_name[column["name"]] = NumberColumn(**column)
            for column in value["categories"]:
                by_name[column["name"]] = CategoryColumn(column["name"], tuple(column["values"]), column["mode"])
            kept = value.get("components")
            reduced = kept and Components(tuple(kept["mean"]), tuple(map(tuple, kept["axes"])))
            return cls(tuple(by_name[name] for name in value["order"]), reduced or None)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"this is not a stored metadata encoder ({error!r}); delete its folder and train again"
            ) from error


def refuse_columns(cohort: Cohort, columns: Sequence[str], model: str) -> None:
    """Refuse columns that a network must not be told, each with the reason, all in one message."""
    task = cohort.task
    reasons = dict.fromkeys(cohort.forbidden, "known only after the diagnosis")
    reasons |= {
        task.target: "the answer itself",
        task.lesion: "the name of the lesion, different in every row",
        task.group: "the name of the group that folds keep together, never seen again in a new one",
    }
    refused = [f"{name} ({reasons[name]})" for name in columns if name in reasons]
    if refused:
        raise RecipeError(
            f"image model {model}: metadata.columns names {', '.join(refused)}: leave it out, for no new lesion has it"
        )
    refuse_absent(cohort.table, columns, f"image model {model}: metadata.columns")


def refuse_absent(frame: pl.DataFrame, columns: Sequence[str], where: str) -> None:
    """Refuse columns that a table does not have, with the most similar ones that it has."""
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        near = [match for name in absent for match in get_close_matches(name, frame.columns, n=1, cutoff=0.4)]
        hint = f" (it has {', '.join(near)})" if near else ""
        raise DataError(
            f"{where}: the table has no column {' and no '.join(absent)}{hint}; correct metadata.columns in the "
            "recipe, or add the column to the table"
        )


def as_numbers(column: pl.Series) -> npt.NDArray[np.float64]:
    """A column as floats, NaN where there is no finite number."""
    value = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(value), value, np.nan)


def fit_number(column: pl.Series, missing_flags: bool, impute: str = "median", scale: str = "standard") -> NumberColumn:
    """What fills a gap of a column of numbers, what is taken off and what divides."""
    value = as_numbers(column)
    missing = np.isnan(value)
    there = value[~missing]
    median = float(there.mean() if impute == "mean" else np.median(there)) if len(there) else 0.0
    filled = np.where(missing, median, value)
    with np.errstate(over="ignore", invalid="ignore"):
        # A constant of many digits would otherwise be left with a deviation of rounding errors.
        deviation, mean = (float(filled.std()) if np.ptp(filled) else 0.0), float(filled.mean())
        if scale == "minmax":
            deviation, mean = float(np.ptp(filled)), float(filled.min())
    if not np.isfinite([mean, deviation]).all():
        raise DataError(
            f"metadata: column {column.name} holds numbers up to {np.abs(filled).max():.3g}, too large for a mean; "
            "correct them or leave it out of metadata.columns"
        )
    return NumberColumn(column.name, median, mean, deviation, missing_flags and bool(missing.any()))


def fit_category(column: pl.Series, fill: bool) -> CategoryColumn:
    """Values of a column of categories, and the most frequent one (of equals the first in the alphabet)."""
    counted = column.cast(pl.String).drop_nulls().value_counts(name="rows")
    counts = counted.sort("rows", column.name, descending=[True, False])
    values = sorted(counts[column.name].to_list())
    if len(values) > ONE_HOT_LIMIT:
        raise RecipeError(
            f"metadata: column {column.name} has {len(values)} categories, more than {ONE_HOT_LIMIT}: it is a name "
            "rather than a category; leave it out of metadata.columns"
        )
    return CategoryColumn(column.name, tuple(values), counts[column.name][0] if fill else None)
