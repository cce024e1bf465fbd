import csv
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort, Task
from data.errors import DataError
from pipeline.steps.submission import validate_submission, write_submission

WANTED = np.array(["ISIC_1", "ISIC_2", "ISIC_3"])
GOOD = [("ISIC_1", "0.5"), ("ISIC_2", "0.0"), ("ISIC_3", "1.0")]


def text(rows: list[tuple[str, str]]) -> str:
    page = io.StringIO()
    csv.writer(page).writerows([("isic_id", "target"), *rows])
    return page.getvalue()


def problems(rows: list[tuple[str, str]]) -> str:
    with pytest.raises(DataError, match="the submission is not valid") as caught:
        validate_submission(text(rows), WANTED, "isic_id", "target")
    return str(caught.value)


def test_a_good_submission_passes_in_any_order():
    validate_submission(text(GOOD), WANTED, "isic_id", "target")
    validate_submission(text(GOOD[::-1]), WANTED, "isic_id", "target")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (GOOD[:2], "1 lesions missing (first: ISIC_3)"),
        ([*GOOD, ("ISIC_4", "0.1")], "1 lesions not asked for (first: ISIC_4)"),
        ([*GOOD, ("ISIC_1", "0.1")], "1 lesions repeated (first: ISIC_1)"),
        ([*GOOD[:2], ("ISIC_3", "nan")], "1 lesions without a finite probability (first: ISIC_3)"),
        ([*GOOD[:2], ("ISIC_3", "inf")], "1 lesions without a finite probability (first: ISIC_3)"),
        ([*GOOD[:2], ("ISIC_3", "")], "1 lesions without a finite probability (first: ISIC_3)"),
        ([*GOOD[:2], ("ISIC_3", "1.0000001")], "1 lesions outside [0, 1] (first: ISIC_3)"),
        ([*GOOD[:2], ("ISIC_3", "-1e-9")], "1 lesions outside [0, 1] (first: ISIC_3)"),
    ],
)
def test_what_kaggle_would_refuse_is_refused(rows: list[tuple[str, str]], said: str):
    assert said in problems(rows)


def test_all_problems_come_in_one_message():
    message = problems([("ISIC_1", "2"), ("ISIC_1", "nan"), ("ISIC_9", "0.5")])
    for said in ("2 lesions missing", "1 lesions not asked for", "repeated", "outside [0, 1]", "without a finite"):
        assert said in message


CLASSES = ("A", "B", "C")


def answers(*rows: tuple[str, float | str, float | str, float | str]) -> str:
    page = io.StringIO()
    csv.writer(page).writerows([("lesion_id", *CLASSES), *rows])
    return page.getvalue()


def test_an_answer_of_several_classes_has_a_column_for_each(tmp_path: Path):
    task = Task("lesion_id", "lesion_id", "target", CLASSES, "macro_f1", group_noun="lesion")
    cohort = Cohort(pl.DataFrame({"lesion_id": ["IL_2", "IL_1"]}), task, labelled=False)
    write_submission(tmp_path / "answer.csv", cohort, np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]), None)
    assert (tmp_path / "answer.csv").read_text() == "lesion_id,A,B,C\nIL_2,0.5,0.25,0.25\nIL_1,0.0,0.0,1.0\n"
    write_submission(
        tmp_path / "answer.csv", cohort, np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]), np.array(["IL_1", "IL_2"])
    )
    assert (tmp_path / "answer.csv").read_text().splitlines()[1] == "IL_1,0.0,0.0,1.0"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("IL_2", 0.5, 0.5, 0.5), "1 lesions whose probabilities do not add up to 1 (first: IL_2)"),
        (("IL_2", 0.5, "nan", 0.5), "1 lesions without a finite probability (first: IL_2)"),
        (("IL_2", 1.5, -0.5, 0.0), "1 lesions outside [0, 1] (first: IL_2)"),
        (("IL_1", 0.5, 0.5, 0.0), "1 lesions missing (first: IL_2)"),
    ],
)
def test_an_answer_of_several_classes_is_checked(row: tuple[str, float, float, float], said: str):
    good = ("IL_1", 0.5, 0.25, 0.25)
    wanted = np.array(["IL_1", "IL_2"])
    validate_submission(answers(good, ("IL_2", 0.0, 0.0, 1.0)), wanted, "lesion_id", *CLASSES)
    with pytest.raises(DataError, match="the submission is not valid") as caught:
        validate_submission(answers(good, row), wanted, "lesion_id", *CLASSES)
    assert said in str(caught.value)
