"""Bad fold files of a user's own, tried by `fusionnetx oof --dry-run`."""

import os
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.bad_input.of_runs import pickled
from tests.damage import cut, edit

CSV = ("--set", "folds.file={root}/folds.csv")
PARQUET = ("--set", "folds.file={root}/folds.parquet")


def sound(b: Bench) -> pl.DataFrame:
    """Folds that the recipe could obey: whole patients, the malignant lesions spread."""
    lesions = pl.read_csv(b.table(), infer_schema=False)
    sick = pl.col("target").cast(pl.Int64).max().over("patient_id")
    patients = lesions.select("patient_id", sick=sick).unique(maintain_order=True).sort("sick", maintain_order=True)
    fold = patients.with_columns(fold=pl.int_range(pl.len()) % 3)
    return lesions.select("isic_id", "patient_id").join(fold, on="patient_id").select("isic_id", "fold")


def folds(change: Callable[[pl.DataFrame], pl.DataFrame] = lambda t: t) -> Callable[[Bench], object]:
    """A sound file of folds, changed, in both forms."""

    def damage(b: Bench) -> None:
        changed = change(sound(b))
        changed.write_parquet(b.root / "folds.parquet")
        if not any(dtype.is_nested() for dtype in changed.dtypes):
            changed.write_csv(b.root / "folds.csv")

    return damage


def first_fold(value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(t: pl.DataFrame) -> pl.DataFrame:
        values = t["fold"].to_list() if isinstance(value, int | float | None) else [str(x) for x in t["fold"]]
        return t.with_columns(fold=pl.Series([value, *values[1:]], strict=False))

    return change


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[Bench], object]:
    def damage(b: Bench) -> None:
        folds()(b)
        edit(b.root / name, change)

    return damage


def torn(t: pl.DataFrame) -> pl.DataFrame:
    return t.with_columns(fold=(pl.int_range(pl.len()) % 3))


def unevenly(t: pl.DataFrame) -> pl.DataFrame:
    return t.with_columns(fold=pl.lit(0))


def bomb(b: Bench) -> None:
    """A few kilobytes that state 80 million cells; a few megabytes could state all the memory there is."""
    zeros = pl.select(isic_id=pl.repeat(0, 40_000_000, dtype=pl.Int8), fold=pl.repeat(0, 40_000_000, dtype=pl.Int8))
    zeros.write_parquet(b.root / "folds.parquet", statistics=False)


ROWS = [
    Row("a patient in two folds", folds(torn), ("patients are in more than one fold",), options=PARQUET),
    Row("one fold alone", folds(unevenly), ("all lesions are in one fold",), options=PARQUET),
    Row(
        "a lesion twice", folds(lambda t: pl.concat([t, t[:1]])), ("1 lesions appear more than once",), options=PARQUET
    ),
    Row("a lesion left out", folds(lambda t: t[1:]), ("1 lesions of the cohort are not in it",), options=PARQUET),
    Row(
        "a lesion of another table",
        folds(lambda t: pl.concat([t, t[:1].with_columns(isic_id=pl.lit("X"))])),
        ("1 lesions are not in the cohort (X)",),
        options=PARQUET,
    ),
    Row(
        "a fold in words", folds(first_fold("first")), ("1 rows have no whole number as fold (first)",), options=PARQUET
    ),
    Row("half a fold", folds(first_fold(0.5)), ("1 rows have no whole number as fold (0.5)",), options=PARQUET),
    Row(
        "an infinite fold",
        folds(first_fold(float("inf"))),
        ("1 rows have no whole number as fold (inf)",),
        options=PARQUET,
    ),
    Row("no fold", folds(first_fold(None)), ("1 rows have no whole number as fold (None)",), options=PARQUET),
    Row("a negative fold", folds(first_fold(-1)), ("fold -1 is negative (folds count from 0)",), options=PARQUET),
    Row("fold 900,000,000", folds(first_fold(900_000_000)), ("is more than 40 lesions can fill",), options=PARQUET),
    Row(
        "a fold that nobody is in",
        folds(lambda t: t.with_columns(fold=pl.col("fold") * 2)),
        ("fold 1, 3 is empty",),
        options=PARQUET,
    ),
    Row(
        "lists of folds",
        folds(lambda t: t.with_columns(fold=pl.concat_list("fold"))),
        ("holds lists where",),
        options=PARQUET,
    ),
    Row(
        "other columns",
        folds(lambda t: t.rename({"fold": "split"})),
        ("has the columns isic_id, split. It needs isic_id",),
        options=PARQUET,
    ),
    Row(
        "another number of folds",
        folds(),
        ("has 3 folds, but the recipe says folds.count = 4",),
        options=(*PARQUET, "--set", "folds.count=4"),
    ),
    Row("no rows", folds(lambda t: t[:0]), ("40 lesions of the cohort are not in it",), options=PARQUET),
    Row(
        "a parquet file cut short",
        lambda b: (folds()(b), cut(b.root / "folds.parquet")),
        ("folds.parquet is not a whole parquet file",),
        options=PARQUET,
    ),
    Row(
        "text named parquet",
        bytes_of("folds.parquet", lambda _: b"isic_id,fold\n"),
        ("folds.parquet is not a whole parquet file",),
        options=PARQUET,
    ),
    Row(
        "an empty parquet file",
        bytes_of("folds.parquet", lambda _: b""),
        ("folds.parquet is not a whole parquet file",),
        options=PARQUET,
    ),
    Row(
        "a pickle named parquet",
        bytes_of("folds.parquet", lambda _: pickled()),
        ("folds.parquet is not a whole parquet file",),
        options=PARQUET,
    ),
    Row("80 million cells in a few kilobytes", bomb, ("states 40,000,000 rows x 2 columns",), options=PARQUET),
    Row(
        "a CSV in latin-1",
        bytes_of("folds.csv", lambda w: w.replace(b"ISIC", b"\xceSIC", 1)),
        ("folds.csv is not UTF-8",),
        options=CSV,
    ),
    Row(
        "a CSV cut short",
        bytes_of("folds.csv", lambda w: w[: w.rindex(b",")]),
        ("folds.csv: 1 rows do not have the header's 2 cells",),
        options=CSV,
    ),
    Row(
        "a CSV with CRLF and BOM",
        bytes_of("folds.csv", lambda w: b"\xef\xbb\xbf" + w.replace(b"\n", b"\r\n")),
        ("narrow",),
        goes_on=True,
        options=CSV,
    ),
    Row("no file", lambda b: None, ("fold file", "does not exist; correct folds.file"), options=CSV),
    Row(
        "a pipe",
        lambda b: os.mkfifo(b.root / "folds.csv"),
        ("fold file", "does not exist; correct folds.file"),
        options=CSV,
    ),
]


@pytest.mark.parametrize("row", chosen(ROWS), ids=lambda row: row.name)
def test_fold_files(bench: Bench, row: Row) -> None:
    bench.plan(row)
