"""Bad metadata tables, tried by `fusionnetx check`."""

import gzip
import os
from collections.abc import Callable

import polars as pl
import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.damage import cut, edit, first_cell, rewrite

OK = "a run can start (0 warnings)"


def cell(column: str, value: str | None, part: str = "train") -> Callable[[Bench], object]:
    return lambda b: rewrite(b.table(part), first_cell(column, value))


def table(change: Callable[[pl.DataFrame], pl.DataFrame], part: str = "train") -> Callable[[Bench], object]:
    return lambda b: rewrite(b.table(part), change)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Bench], object]:
    return lambda b: edit(b.table(), change)


def header(*names: str) -> Callable[[bytes], bytes]:
    """Another first line."""
    return lambda whole: ",".join(names).encode() + whole[whole.index(b"\n") :]


def as_a_pipe(b: Bench) -> None:
    b.table().unlink()
    os.mkfifo(b.table())


def as_a_folder(b: Bench) -> None:
    b.table().unlink()
    b.table().mkdir()


def as_a_spreadsheet(b: Bench) -> None:
    whole = pl.read_csv(b.table(), infer_schema=False)
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(whole.columns)
    book.save(b.table())


def of_a_test_lesion(b: Bench) -> None:
    shared = pl.read_csv(b.table("test"), infer_schema=False)["isic_id"][0]
    rewrite(b.table(), first_cell("isic_id", shared))


ROWS = [
    # The text itself
    Row(
        "latin-1",
        raw(lambda w: w.replace(b"FNQH Cairns", b"H\xf4pital")),
        ("is not UTF-8: byte 0xf4 in line 2", "Save"),
    ),
    Row("UTF-16", raw(lambda w: w.decode().encode("utf-16")), ("is UTF-16 text. Save it as UTF-8",)),
    Row("byte-order mark", raw(lambda w: b"\xef\xbb\xbf" + w), (OK,), goes_on=True),
    Row("CRLF", raw(lambda w: w.replace(b"\n", b"\r\n")), (OK,), goes_on=True),
    Row("carriage returns alone", raw(lambda w: w.replace(b"\n", b"\r")), (OK,), goes_on=True),
    Row("quoted line breaks", raw(lambda w: w.replace(b"CC-BY", b'"CC\nBY"', 1)), ("a run can start",), goes_on=True),
    Row("blank lines", raw(lambda w: w.replace(b"\n", b"\n\n")), (OK,), goes_on=True),
    Row("a quote left open", raw(lambda w: w + b'"ISIC_9,1\n'), ("train-metadata.csv", "cannot be read")),
    Row("zero bytes", raw(lambda w: w[:-9] + b"\0" + w[-8:]), ("holds zero bytes",)),
    Row("empty", raw(lambda _: b""), ("train-metadata.csv is empty",)),
    Row("blanks alone", raw(lambda _: b" \n\n \t\n"), ("train-metadata.csv is empty",)),
    Row("gzip", raw(gzip.compress), ("is compressed. Unpack it first",)),
    Row("a spreadsheet", as_a_spreadsheet, ("train-metadata.csv is", "not text")),
    Row(
        "a web page",
        raw(lambda _: b"<!DOCTYPE html>\n<html>Please log in</html>\n"),
        ("it has none of the 55 columns", "'<!DOCTYPE html>'"),
    ),
    Row("semicolons", raw(lambda w: w.replace(b",", b";")), ("separated by semicolons. Save it with commas",)),
    Row("tabs", raw(lambda w: w.replace(b",", b"\t")), ("separated by tabs. Save it with commas",)),
    Row("decimal commas", raw(lambda w: w.replace(b".", b",")), ("rows do not have the header's 55 cells", "line 2")),
    Row(
        "cut in the middle of a row", lambda b: cut(b.table()), ("1 rows do not have the header's 55 cells", "cut off")
    ),
    Row("a pipe", as_a_pipe, ("train-metadata.csv is not a file",)),
    Row("a folder", as_a_folder, ("train-metadata.csv is not a file",)),
    # Columns
    Row(
        "extra column",
        table(lambda t: t.with_columns(mood=pl.lit("x"))),
        ("columns that are not used: mood",),
        goes_on=True,
    ),
    Row(
        "3,000 extra columns",
        table(lambda t: t.with_columns(**{f"c{i}": pl.lit("") for i in range(3000)})),
        ("c9 and 2,990 more",),
        goes_on=True,
    ),
    Row("3,000 columns above 55", raw(header(*(f"c{i}" for i in range(3000)))), ("header's 3000 cells", "line 2: 55")),
    Row("300,000 columns", raw(header(*(f"c{i}" for i in range(300_000)))), ("has more than 4,096 columns",)),
    Row("one name of 200 kB", raw(header("x" * 200_000, "y")), ("header", "cannot be read")),
    Row("missing column", table(lambda t: t.drop("tbp_lv_areaMM2")), ("column tbp_lv_areaMM2 is missing",)),
    Row(
        "column of another spelling",
        table(lambda t: t.rename({"tbp_lv_H": "TBP_LV_H"})),
        ("(the file has 'TBP_LV_H')",),
    ),
    Row(
        "column twice",
        raw(lambda w: w.replace(b"tbp_lv_Hext", b"tbp_lv_H", 1)),
        ("column tbp_lv_H occurs more than once",),
    ),
    Row("columns in another order", table(lambda t: t.select(reversed(t.columns))), (OK,), goes_on=True),
    Row(
        "no header", raw(lambda w: w[w.index(b"\n") + 1 :]), ("it has none of the 55 columns", "Is its header missing")
    ),
    Row("a header without rows", table(lambda t: t[:0]), ("it has a header but no rows",)),
    # Cells
    Row("text in a number", cell("age_approx", "forty"), ("age_approx: 1 value is not a number (line 2: 'forty')",)),
    Row("a date in a number", cell("age_approx", "1979-05-27"), ("not a number (line 2: '1979-05-27')",)),
    Row("thousands separators", cell("tbp_lv_areaMM2", "1,234.5"), ("not a number (line 2: '1,234.5')",)),
    Row("a percent sign", cell("tbp_lv_nevi_confidence", "50%"), ("not a number (line 2: '50%')",)),
    Row("digits of another script", cell("age_approx", "４５"), ("not a number (line 2: '４５')",)),
    Row("infinity", cell("tbp_lv_H", "-inf"), ("tbp_lv_H: 1 value is not finite",)),
    Row("a number beyond all floats", cell("tbp_lv_H", "1e999"), ("tbp_lv_H: 1 value is not finite",)),
    Row("a huge number", cell("tbp_lv_areaMM2", "1e300"), ("tbp_lv_areaMM2: 1 value is above 100000 mm2",)),
    Row("a negative age", cell("age_approx", "-5"), ("age_approx: 1 value is below 0 years (line 2: '-5')",)),
    Row("half a degree", cell("tbp_lv_symm_2axis_angle", "0.5"), ("not a whole number",)),
    Row("a cell of 100 kB", cell("age_approx", "9" * 100_000), ("age_approx: 1 value is not finite",)),
    Row("terminal codes in a cell", cell("age_approx", "\x1b[2J\x07"), (r"'\x1b[2J\x07'",)),
    Row("terminal codes in an id", cell("isic_id", "ISIC_\x1b[2J"), ("isic_id: 1 value is", "control characters")),
    Row("a line break in an id", cell("patient_id", "IP_1\nIP_2"), ("patient_id: 1 value is", "control characters")),
    Row(
        "a column without any value",
        table(lambda t: t.with_columns(tbp_lv_x=pl.lit(""))),
        ("tbp_lv_x: every value is missing",),
        goes_on=True,
    ),
    Row("a category nobody knows", cell("sex", "robot"), ("not among the published values: 'robot'",), goes_on=True),
    Row(
        "a category training does not have",
        cell("tbp_lv_location", "Third Arm", "test"),
        ("'Third Arm'",),
        goes_on=True,
    ),
    # Lesions, patients, answers
    Row("an id twice", table(lambda t: pl.concat([t, t[:1]])), ("isic_id: 2 values are not unique (line 2: ",)),
    Row("no id", cell("isic_id", None), ("isic_id: 1 value is missing, which this column must not be",)),
    Row("no patient", cell("patient_id", " "), ("patient_id: 1 value is missing",)),
    Row("no answer", cell("target", "NA"), ("target: 1 value is missing",)),
    Row("an answer in words", cell("target", "malignant"), ("target: 1 value is not a whole number",)),
    Row("an answer of 2", cell("target", "2"), ("target: 1 value is above 1",)),
    Row(
        "one class alone",
        table(lambda t: t.with_columns(target=pl.lit("0"))),
        ("every row is 0; both classes are needed",),
    ),
    Row("a lesion in both tables", of_a_test_lesion, ("lesions in both train-metadata.csv and test-metadata.csv: 1",)),
    Row(
        "a sample submission of other lesions",
        lambda b: rewrite(b.data / "sample_submission.csv", first_cell("isic_id", "ISIC_X")),
        ("ids without a row in test-metadata.csv: 1 (ISIC_X)", "test lesions without a row: 1"),
    ),
    Row("no table", lambda b: b.table().unlink(), ("train-metadata.csv is missing",)),
]


@pytest.mark.parametrize("row", chosen(ROWS), ids=lambda row: row.name)
def test_metadata(bench: Bench, row: Row) -> None:
    bench.check(row)


FOLDS = [
    Row(
        "one patient alone",
        table(lambda t: t.with_columns(patient_id=pl.lit("IP_1"))),
        ("of 1 patients", "Use fewer folds"),
    ),
    Row(
        "fewer patients with cancer than folds",
        table(
            lambda t: t.with_columns(
                target=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("1")).otherwise(pl.lit("0"))
            )
        ),
        ("malignant has 2 lesions of", "Use fewer folds (folds.count) or more data"),
    ),
]


@pytest.mark.parametrize("row", chosen(FOLDS), ids=lambda row: row.name)
def test_metadata_that_cannot_be_divided(bench: Bench, row: Row) -> None:
    bench.plan(row)
