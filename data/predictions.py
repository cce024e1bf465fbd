"""Predictions: probabilities of lesions that their model did not see, on disk as one parquet table.

Assembling out-of-fold parts demands each lesion exactly once, predicted by the model of its own fold. A missing
probability is NaN in arrays and null in files, never 0. Who trains and where files lie is the stages' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import DataError, examples
from data.files import atomic
from data.folds import Folds
from data.ids import as_ids
from data.tables.parquet import read_parquet

TEST_FOLD = -1
"""The fold of rows that belong to no fold: the test lesions."""
KEY_COLUMNS = ("lesion_id", "fold")


@dataclass(frozen=True)
class Predictions:
    """Probabilities by lesion: one column per class, or the positive class alone for a binary task."""

    lesion_id: npt.NDArray[np.str_]
    fold: npt.NDArray[np.int64]
    """The fold each lesion was held out in; -1 for test lesions."""
    probabilities: npt.NDArray[np.float64]
    """(lesions, columns); NaN in a whole row where the model has nothing to say (no image)."""
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.lesion_id)
        if self.fold.shape != (n,) or self.probabilities.shape != (n, len(self.columns)):
            raise ValueError(
                f"{n} ids, fold {self.fold.shape} and probabilities {self.probabilities.shape} "
                f"for {len(self.columns)} columns do not fit together"
            )
        if set(self.columns) & set(KEY_COLUMNS) or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"probability columns {self.columns} repeat or are named like {KEY_COLUMNS}")

    @property
    def positive(self) -> npt.NDArray[np.float64]:
        """The one column of a binary task."""
        if len(self.columns) != 1:
            raise ValueError(f"one probability column expected, found {self.columns}")
        return self.probabilities[:, 0]

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Lesions without a prediction."""
        return np.asarray(np.isnan(self.probabilities).any(axis=1), dtype=np.bool_)

    def frame(self) -> pl.DataFrame:
        """As a table: lesion_id, fold, then the probability columns, with null for missing."""
        keys = {"lesion_id": pl.Series(self.lesion_id.tolist(), dtype=pl.String), "fold": pl.Series(self.fold)}
        values = {name: self.probabilities[:, i] for i, name in enumerate(self.columns)}
        return pl.DataFrame({**keys, **values}).with_columns(pl.col(self.columns).fill_nan(None))

    def write(self, path: Path) -> None:
        """Write as parquet; refuses what `read` would refuse."""
        frame = self.frame()
        problems = _problems(frame, self.columns)
        if problems:
            raise ValueError(f"predictions for {path} are not valid: " + "; ".join(problems))
        with atomic(path) as temporary:
            frame.write_parquet(temporary)

    @classmethod
    def read(cls, path: Path, columns: Sequence[str] | None = None) -> "Predictions":
        """Read and check a predictions file; `columns` are those it must have (any, if None)."""
        frame, _ = read_parquet(path, "Run the stage that writes it (again).")
        absent = [name for name in KEY_COLUMNS if name not in frame.columns]
        if absent:
            raise DataError(f"{path} is not a predictions table: column {' and '.join(absent)} missing. Make it anew.")
        found = tuple(name for name in frame.columns if name not in KEY_COLUMNS)
        if columns is not None and found != tuple(columns):
            raise DataError(
                f"{path} holds probabilities of {', '.join(found) or 'nothing'}, but the task needs "
                f"{', '.join(columns)}. It belongs to another task: remove it and predict again."
            )
        problems = _problems(frame, found)
        if problems:
            raise DataError(f"{path} is damaged: {'; '.join(problems)}. Remove it and predict again.")
        return _from_frame(frame, found)


def _from_frame(frame: pl.DataFrame, columns: tuple[str, ...]) -> Predictions:
    values = frame.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return Predictions(
        lesion_id=as_ids(frame["lesion_id"].to_list(), "predictions"),
        fold=frame["fold"].cast(pl.Int64).to_numpy().copy(),
        probabilities=np.ascontiguousarray(values, dtype=np.float64).reshape(len(frame), len(columns)),
        columns=columns,
    )


def _problems(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Everything that is wrong with a predictions table that has its key columns."""
    problems = []
    if frame["lesion_id"].dtype != pl.String or frame["lesion_id"].null_count():
        problems.append("lesion_id is not text in every row")
    else:
        repeated = frame["lesion_id"].filter(frame["lesion_id"].is_duplicated()).unique(maintain_order=True)
        if len(repeated):
            problems.append(f"{len(repeated)} lesions appear more than once ({examples(repeated)})")
    if not frame["fold"].dtype.is_integer() or frame["fold"].null_count() or (frame["fold"] < TEST_FOLD).any():
        problems.append("fold is not a whole number of at least -1 in every row")
    if not columns:
        problems.append("there is no probability column")
    for name in columns:
        if not frame[name].dtype.is_float():
            problems.append(f"{name} is {frame[name].dtype}, not a number with decimals")
            continue
        outside = int((~frame[name].is_between(0.0, 1.0)).sum())  # NaN and infinity are not between; null is null
        if outside:
            problems.append(f"{name} is outside [0, 1] in {outside} rows")
    if len(columns) > 1:
        n_null = frame.select(pl.sum_horizontal(pl.col(columns).is_null())).to_series()
        partial = int(((n_null > 0) & (n_null < len(columns))).sum())
        if partial:
            problems.append(f"{partial} rows have some classes missing but not all")
    return problems


def _same_columns(parts: Sequence[Predictions]) -> tuple[str, ...]:
    if not parts:
        raise ValueError("no predictions were given")
    different = {part.columns for part in parts}
    if len(different) > 1:
        shown = " and ".join(", ".join(columns) for columns in sorted(different))
        raise DataError(f"predictions for different classes cannot be put together: {shown}")
    return parts[0].columns


def assemble(parts: Sequence[Predictions], cohort_ids: npt.NDArray[np.str_], folds: Folds) -> Predictions:
    """Put the folds' parts together: each lesion exactly once, from its own fold, in the order of `cohort_ids`.

    Missing folds, missing, repeated and unknown lesions, and lesions predicted by the model of another fold (which
    has seen them) are all named in one DataError.
    """
    columns = _same_columns(parts)
    given = pl.concat([part.frame() for part in parts])
    wanted = pl.DataFrame({"lesion_id": pl.Series(cohort_ids.tolist(), dtype=pl.String)}).join(
        folds.table.select("lesion_id", held_out=pl.col("fold")), on="lesion_id", how="left", maintain_order="left"
    )
    if wanted["held_out"].null_count():
        strangers = wanted.filter(pl.col("held_out").is_null())["lesion_id"]
        raise DataError(
            f"{len(strangers)} lesions of the cohort are in no fold ({examples(strangers)}). Make folds anew."
        )

    problems = []
    absent_folds = sorted(set(range(folds.count)) - set(given["fold"].unique().to_list()))
    if absent_folds:
        problems.append(f"fold {', '.join(map(str, absent_folds))} has no predictions (train it)")
    in_present_folds = wanted.filter(~pl.col("held_out").is_in(absent_folds))
    missing = in_present_folds.join(given, on="lesion_id", how="anti", maintain_order="left")
    for fold, lesions in missing.group_by("held_out", maintain_order=True):
        problems.append(
            f"{len(lesions)} lesions of fold {fold[0]} are not predicted ({examples(lesions['lesion_id'])})"
        )
    repeated = given.filter(pl.col("lesion_id").is_duplicated())["lesion_id"].unique(maintain_order=True)
    if len(repeated):
        problems.append(f"{len(repeated)} lesions are predicted more than once ({examples(repeated)})")
    unknown = given.join(wanted, on="lesion_id", how="anti", maintain_order="left")["lesion_id"]
    if len(unknown):
        problems.append(f"{len(unknown)} predicted lesions are not in the cohort ({examples(unknown)})")
    wrong = given.join(wanted, on="lesion_id", maintain_order="left").filter(pl.col("fold") != pl.col("held_out"))
    if len(wrong):
        problems.append(
            f"{len(wrong)} lesions are predicted by the model of another fold, which has seen them "
            f"({examples(wrong['lesion_id'])})"
        )
    if problems:
        raise DataError("the out-of-fold predictions cannot be put together: " + "; ".join(problems))
    ordered = wanted.select("lesion_id").join(given, on="lesion_id", how="left", maintain_order="left")
    return _from_frame(ordered, columns)


def mean_of(parts: Sequence[Predictions]) -> Predictions:
    """Mean over models that predicted the same lesions, such as the fold models on the test lesions.

    A lesion is missing only where every model misses it. Rows follow the first part; the fold is -1.
    """
    columns = _same_columns(parts)
    first = parts[0]
    total = np.zeros(first.probabilities.shape)
    count = np.zeros(first.probabilities.shape, dtype=np.int64)
    position = np.argsort(first.lesion_id, kind="stable")
    for number, part in enumerate(parts):
        order = np.argsort(part.lesion_id, kind="stable")
        if not np.array_equal(part.lesion_id[order], first.lesion_id[position]):
            odd = np.setxor1d(part.lesion_id, first.lesion_id)
            raise DataError(
                f"part {number} predicts other lesions than part 0 ({examples(odd)}). "
                "All fold models must predict the same test table: predict it again with the models that differ."
            )
        values = np.empty_like(total)
        values[position] = part.probabilities[order]
        present = ~np.isnan(values)
        total += np.where(present, values, 0.0)
        count += present
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return Predictions(first.lesion_id, np.full(len(total), TEST_FOLD, dtype=np.int64), np.clip(mean, 0, 1), columns)


def known_rows(*columns: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Lesions that every column has a probability for."""
    finite = [np.isfinite(column).reshape(len(column), -1).all(axis=1) for column in columns]
    return np.flatnonzero(np.all(finite, axis=0)).astype(np.int64)
