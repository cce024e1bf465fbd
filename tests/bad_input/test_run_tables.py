"""Bad tables in a run that goes on, tried by `fusionnetx submission`; each is vouched for by its report."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.bad_input.of_runs import holding, pickled, vouched
from tests.damage import cut

OOF = "oof/narrow/fold_0/predictions.parquet"


def table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], object]:
    return lambda path: change(pl.read_parquet(path)).write_parquet(path)


TABLES = [
    Row("predictions cut short", vouched(OOF, cut), ("predictions.parquet is not a whole parquet file",)),
    Row(
        "a pickle named predictions.parquet",
        vouched(OOF, holding(pickled)),
        ("predictions.parquet is not a whole parquet file",),
    ),
    Row(
        "a probability of 1.5",
        vouched(OOF, table(lambda t: t.with_columns(malignant=pl.lit(1.5)))),
        ("malignant is outside [0, 1] in",),
    ),
    Row(
        "a probability of NaN",
        vouched(OOF, table(lambda t: t.with_columns(malignant=pl.lit(float("nan"))))),
        ("malignant is outside [0, 1] in",),
    ),
    Row(
        "probabilities in words",
        vouched(OOF, table(lambda t: t.with_columns(malignant=pl.lit("low")))),
        ("malignant is String, not a number",),
    ),
    Row(
        "probabilities of another task",
        vouched(OOF, table(lambda t: t.rename({"malignant": "nevus"}))),
        ("holds probabilities of nevus, but the task needs malignant",),
    ),
    Row(
        "a lesion predicted twice",
        vouched(OOF, table(lambda t: pl.concat([t, t[:1]]))),
        ("1 lesions appear more than once",),
    ),
    Row("a lesion not predicted", vouched(OOF, table(lambda t: t[1:])), ("1 lesions of fold 0 are not predicted",)),
    Row(
        "a lesion of another fold",
        vouched(OOF, table(lambda t: t.with_columns(fold=pl.lit(1, pl.Int64)))),
        ("predicted by the model of another fold, which has seen them",),
    ),
    Row(
        "no column of ids",
        vouched(OOF, table(lambda t: t.drop("lesion_id"))),
        ("is not a predictions table: column lesion_id missing",),
    ),
]


@pytest.mark.parametrize("row", chosen(TABLES), ids=lambda row: row.name)
def test_tables_of_a_run(bench: Bench, row: Row) -> None:
    row.damage(bench)
    before = {p for p in bench.run.rglob("*") if p.name != ".lock"}
    answer = bench.cli("submission", "--recipe", bench.recipe, "--run", bench.run)
    assert answer.code == 2, answer
    assert answer.err.count("error:") == 1
    assert "Traceback" not in answer.out + answer.err
    assert [word for word in row.words if word not in answer.err] == [], answer.err
    # The step that could not be done has no report any more, and nothing half-written is left.
    after = {p for p in bench.run.rglob("*") if p.name != ".lock"}
    assert after <= before
    assert {p.name for p in before - after} <= {"report.json"}
