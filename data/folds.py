"""Folds: which lesions are held out together. Patients stay whole, classes spread evenly; made once, then obeyed.

A user may bring folds in a file of their own; both kinds pass the same checks. The inner split of training patients
is in `inner_split.py`; what is trained on a fold is the stages' business.
"""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from data.cohort import Cohort
from data.errors import DataError, examples
from data.files import atomic
from data.folds_by import divide
from data.inner_split import Ints, assign_groups, class_counts
from data.strict import Strict
from data.tables.csv import ROW, read_csv
from data.tables.parquet import read_parquet

Method = Literal["scikit-learn", "greedy", "file", "column"]
METHOD_KEY = "fusionnetx.fold_method"


DEFAULT_COUNT = 5


class FoldRecipe(Strict):
    """The `[folds]` part of a recipe."""

    count: int | None = Field(default=None, ge=2, le=100)
    """5 when left out, or as many as the fold file has; of a hundred, each holds a hundredth of the positives."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    by: str | None = None
    """A column, such as the institution: each of its values with enough positives is held out whole, the others
    together; `count` is then the most folds there are."""
    least_positives: int = Field(default=10, ge=1, le=1_000_000)
    """With `by`: positives that a value must have to be a fold of its own; no cohort has a million."""
    file: str | None = None
    """Parquet or CSV with the lesion id and a column `fold` (0, 1, ...), used in place of folds made here."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """`fusionnetx repeat`: divisions of the patients, this one and others, each cross-validated;
    a thousand leave nothing to be learned of their spread."""
    training_seeds: int = Field(default=1, ge=1, le=1000)
    """`fusionnetx repeat`: training seeds on each of them."""
    max_positive_imbalance: float = Field(default=0.2, ge=0.0, le=100.0)
    """How far a fold's number of positives may be from the mean, as a share of it. What whole patients force is
    always allowed: a difference of up to the positives of the patient who has most. All positives in one of a hundred
    folds are 99 times the mean."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.by is not None and self.file is not None:
            raise ValueError("by and file are two ways to divide the patients; leave one out")
        return self

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the folds, for the fingerprint of their step; keys of `by` only where it is used."""
        unused = set() if self.by is not None else {"by", "least_positives"}
        return self.model_dump(mode="json", exclude=unused | {"repeats", "training_seeds"})


@dataclass(frozen=True)
class Folds:
    """One fold for every lesion of a cohort, in its order."""

    table: pl.DataFrame
    """lesion_id, group, fold."""
    target: Ints
    method: Method
    """How the folds came about, for the log and the report."""

    @property
    def fold(self) -> Ints:
        """Fold of every lesion, in cohort order."""
        return self.table["fold"].to_numpy()

    @property
    def count(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    def validation_rows(self, k: int) -> Ints:
        """Rows held out in fold `k`, ascending."""
        return np.flatnonzero(self.fold == self._known(k))

    def train_rows(self, k: int) -> Ints:
        """Rows that a model of fold `k` may learn from, ascending."""
        return np.flatnonzero(self.fold != self._known(k))

    def _known(self, k: int) -> int:
        if not 0 <= k < self.count:
            raise IndexError(f"there is no fold {k} among {self.count}")
        return k

    def summary(self) -> pl.DataFrame:
        """Lesions, patients and positives (any class but the first) of each fold."""
        return (
            self.table.with_columns(positive=pl.Series(self.target > 0))
            .group_by("fold")
            .agg(lesions=pl.len(), patients=pl.col("group").n_unique(), positives=pl.col("positive").sum())
            .sort("fold")
        )

    def write(self, path: Path) -> None:
        """Write lesion_id, group and fold as parquet, with the method in its metadata."""
        with atomic(path) as temporary:
            self.table.write_parquet(temporary, metadata={METHOD_KEY: self.method})

    @classmethod
    def read(cls, path: Path, cohort: Cohort, max_positive_imbalance: float = inf) -> "Folds":
        """Read folds from parquet or CSV and check them against the cohort.

        Any balance will do unless a limit is given: folds once made are obeyed.
        """
        given, method = _read_fold_file(path, cohort.task.lesion)
        fold = _in_cohort_order(given, cohort, path)
        problems = fold_problems(fold, cohort, max_positive_imbalance)
        if problems:
            raise DataError(
                f"fold file {path}: {'; '.join(problems)}. "
                "Correct it, or remove it (and folds.file from the recipe) to have folds made."
            )
        return _folds(cohort, fold, method)


def _folds(cohort: Cohort, fold: Ints, method: Method) -> Folds:
    table = pl.DataFrame(
        {
            "lesion_id": pl.Series(cohort.ids.tolist(), dtype=pl.String),
            "group": pl.Series(cohort.groups.tolist(), dtype=pl.String),
            "fold": pl.Series(fold, dtype=pl.Int64),
        }
    )
    return Folds(table, cohort.target, method)


def make_folds(cohort: Cohort, recipe: FoldRecipe) -> Folds:
    """Make folds by patient and stratified by class, or take those of the recipe's file."""
    if recipe.file is not None:
        folds = Folds.read(Path(recipe.file), cohort, recipe.max_positive_imbalance)
        if recipe.count is not None and folds.count != recipe.count:
            raise DataError(
                f"fold file {recipe.file} has {folds.count} folds, but the recipe says folds.count = {recipe.count}. "
                f"Set folds.count = {folds.count} or leave it out."
            )
        return folds
    if recipe.by is not None:
        fold = divide(cohort, recipe.by, recipe.least_positives, recipe.count).fold
        if problems := fold_problems(fold, cohort, inf):
            raise DataError(f"folds.by = {recipe.by!r}: {'; '.join(problems)}. Divide by another column.")
        return _folds(cohort, fold, "column")
    count = recipe.count or DEFAULT_COUNT
    _require_enough_groups(cohort, count)
    # Shuffling without stratifying is a defect of several scikit-learn releases (its pull request 32540): hence the
    # check and the second way. First the balance that whole patients allow, then the one the recipe puts up with.
    ways: dict[Method, Ints] = {
        "scikit-learn": _by_scikit_learn(cohort, count, recipe.seed),
        "greedy": _greedy(cohort, count, recipe.seed),
    }
    for limit in (0.0, recipe.max_positive_imbalance):
        for method, fold in ways.items():
            problems = fold_problems(fold, cohort, limit)
            if not problems:
                return _folds(cohort, fold, method)
    raise DataError(
        f"no balanced {count} folds of whole {cohort.task.words['groups']} were found: {'; '.join(problems)}. "
        "Use fewer folds (folds.count) or allow it (folds.max_positive_imbalance)."
    )


def _by_scikit_learn(cohort: Cohort, count: int, seed: int) -> Ints:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    fold = np.full(len(cohort.table), -1, dtype=np.int64)
    for k, (_, held_out) in enumerate(splitter.split(np.zeros(len(fold)), cohort.target, cohort.groups)):
        fold[held_out] = k
    return fold


def _greedy(cohort: Cohort, count: int, seed: int) -> Ints:
    _, group_code = np.unique(cohort.groups, return_inverse=True)
    counts = class_counts(group_code, cohort.target, len(cohort.task.classes))
    shares = np.full(count, 1.0 / count)
    return assign_groups(counts, shares, np.random.default_rng(seed))[group_code]


def _require_enough_groups(cohort: Cohort, count: int) -> None:
    """Each fold needs a group (a patient) with each class, or its scores are undefined."""
    groups, target, noun = cohort.groups, cohort.target, cohort.task.group_noun
    problems = []
    for code, name in enumerate(cohort.task.classes):
        n_groups, n_rows = len(np.unique(groups[target == code])), int(np.sum(target == code))
        if n_groups < count:
            problems.append(f"{name} has {n_rows} {cohort.task.row_noun}s of {n_groups} {noun}s")
    if problems:
        raise DataError(
            f"{count} folds need every class in at least {count} {noun}s, but of {len(np.unique(groups))} {noun}s "
            f"{'; '.join(problems)}. Use fewer folds (folds.count) or more data."
        )


def fold_problems(fold: Ints, cohort: Cohort, max_positive_imbalance: float) -> list[str]:
    """Everything that is wrong with a fold for each lesion of a cohort, in words; empty when nothing is."""
    if fold.min() < 0:
        return [f"fold {int(fold.min())} is negative (folds count from 0)"]
    problems = []
    groups, target, n_folds = cohort.groups, cohort.target, int(fold.max()) + 1
    if n_folds < 2:
        return ["all lesions are in one fold (at least 2 are needed)"]
    if n_folds > len(fold):
        return [f"fold {n_folds - 1} is more than {len(fold)} lesions can fill"]
    names, group_code = np.unique(groups, return_inverse=True)
    lowest = np.full(len(names), n_folds)
    np.minimum.at(lowest, group_code, fold)
    torn = np.unique(group_code[fold != lowest[group_code]])
    if len(torn):
        problems.append(f"{len(torn)} {cohort.task.group_noun}s are in more than one fold ({examples(names[torn])})")
    empty = np.setdiff1d(np.arange(n_folds), fold)
    if len(empty):
        problems.append(f"fold {examples(empty)} is empty (folds must be 0 to {n_folds - 1})")
    per_fold = class_counts(fold, target, len(cohort.task.classes))
    largest_patient = class_counts(group_code, target, len(cohort.task.classes)).max(axis=0)
    for code, name in enumerate(cohort.task.classes):
        held = per_fold[:, code]
        without = np.setdiff1d(np.flatnonzero(held == 0), empty)
        if len(without):
            problems.append(f"fold {examples(without)} has no lesion of class {name}")
        off = np.abs(held - held.mean()).max()
        if code > 0 and off > largest_patient[code] and off > max_positive_imbalance * held.mean():
            problems.append(f"{name} lesions are spread unevenly ({', '.join(map(str, held))} by fold)")
    return problems


def _read_fold_file(path: Path, lesion_column: str) -> tuple[pl.DataFrame, Method]:
    """Columns lesion_id (text) and fold (whole numbers) of a fold file, and how the folds came about."""
    method: Method = "file"
    if path.suffix.lower() == ".csv":
        frame = read_csv(path).frame  # all text: an id of digits keeps its leading zeros
    else:
        frame, metadata = read_parquet(path, "Give a parquet or .csv table as fold file.")
        written = metadata.get(METHOD_KEY)
        method = next((known for known in get_args(Method) if known == written), "file")
    id_column = next((name for name in ("lesion_id", lesion_column) if name in frame.columns), None)
    if id_column is None or "fold" not in frame.columns:
        found = ", ".join(name for name in frame.columns if name != ROW)
        raise DataError(f"fold file {path} has the columns {found}. It needs {lesion_column} (or lesion_id) and fold.")
    if frame["fold"].dtype.is_nested() or frame[id_column].dtype.is_nested():
        raise DataError(f"fold file {path} holds lists where {id_column} and fold should be one text and one number.")
    number = frame["fold"].cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 1e9)
    bad = frame.filter(~whole.fill_null(False))
    if len(bad):
        raise DataError(
            f"fold file {path}: {len(bad)} rows have no whole number as fold ({examples(bad['fold'])}), "
            f"first for lesion {bad[id_column][0]}. Give each lesion one fold from 0 on."
        )
    ids = frame[id_column].cast(pl.String).alias("lesion_id")
    return pl.DataFrame([ids, number.cast(pl.Int64).alias("fold")]), method


def _in_cohort_order(given: pl.DataFrame, cohort: Cohort, path: Path) -> Ints:
    """Fold of each lesion of the cohort, once the file names each exactly once."""
    wanted = pl.DataFrame({"lesion_id": pl.Series(cohort.ids.tolist(), dtype=pl.String)})
    problems = []
    for text, lesions in (
        (
            "appear more than once",
            given.filter(given["lesion_id"].is_duplicated()).unique("lesion_id", maintain_order=True),
        ),
        ("of the cohort are not in it", wanted.join(given, on="lesion_id", how="anti", maintain_order="left")),
        ("are not in the cohort", given.join(wanted, on="lesion_id", how="anti", maintain_order="left")),
    ):
        if len(lesions):
            problems.append(f"{len(lesions)} lesions {text} ({examples(lesions['lesion_id'])})")
    if problems:
        raise DataError(
            f"fold file {path}: {'; '.join(problems)}. It must name each lesion of the training table exactly once: "
            "was it made for other data?"
        )
    return wanted.join(given, on="lesion_id", how="left", maintain_order="left")["fold"].to_numpy()
