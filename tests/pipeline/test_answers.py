"""The table of answers: every column against a loop, doubts by name, and files that are never written over."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from openpyxl import load_workbook
from rich.console import Console

from data.cohort import Cohort, Task
from data.errors import DataError
from data.scores.calibrators import Calibrator, LogOddsCurve, Temperature
from data.scores.conformal import SetRule
from data.scores.thresholds import KeptThreshold
from features.recipe import FeatureRecipe
from pipeline.actions.answer_summary import Summary
from pipeline.answer_files import refuse_bad_target, refuse_too_many, write_answers
from pipeline.answers import Said, answer_frame
from pipeline.decision import Decision
from pipeline.display import Display
from pipeline.notes import Strangers, notes_of, strangers
from pipeline.seen import Seen, seen_in

TASK = Task("isic_id", "patient_id", "target")
SEEN = Seen(
    numbers={"age_approx": (5.0, 85.0), "tbp_lv_H": (10.0, 60.0)},
    categories={"sex": ("female", "male")},
    others={"attribution": ("A", "B")},
    fewest_lesions=3,
)
KEPT = (
    KeptThreshold(0.8, 0.6, 0.7, 50),
    KeptThreshold(0.9, 0.3, 0.8, 50),
    KeptThreshold(0.95, None, None, 50),
)
DECISION = Decision(Calibrator("prior", (LogOddsCurve(1.0, 1.0, -2.0),)), KEPT, SetRule(0.9, (0.5, 0.3)), SEEN)


def said(patients: list[str], score: list[float], **columns: object) -> Said:
    count = len(score)
    table = pl.DataFrame(
        {
            "isic_id": [f"L{i}" for i in range(count)],
            "patient_id": patients,
            "age_approx": [50.0] * count,
            "tbp_lv_H": [30.0] * count,
            "sex": ["female"] * count,
            "attribution": ["A"] * count,
            **columns,
        }
    )
    return Said(Cohort(table, TASK, labelled=False), np.array(score), np.zeros(count, dtype=np.bool_))


def test_every_column_is_what_it_says():
    rng = np.random.default_rng(0)
    patients = [f"P{i}" for i in rng.integers(0, 4, 90)]
    score = (rng.integers(0, 40, 90) / 40).tolist()
    frame = answer_frame(said(patients, score), DECISION)
    assert frame.columns == [
        *("patient_id", "isic_id", "probability", "score", "rank", "lesions", "flagged_at", "in_top_15", "call"),
        *("comparable", "notes"),
    ]
    for row in frame.iter_rows(named=True):
        own = [s for s, p in zip(score, patients, strict=True) if p == row["patient_id"]]
        assert row["rank"] == 1 + sum(other > row["score"] for other in own)
        assert row["lesions"] == len(own)
        assert row["in_top_15"] == (row["rank"] <= 15)
        assert row["flagged_at"] == ("80 %" if row["score"] >= 0.6 else "90 %" if row["score"] >= 0.3 else None)
        benign, malignant = 1 - row["score"] >= 0.5, row["score"] >= 0.3
        assert row["call"] == ("uncertain" if benign == malignant else "benign" if benign else "malignant")
        right = DECISION.calibrator.apply(np.array([row["score"]]))[0]
        assert row["probability"] == pytest.approx(right, rel=5e-4)
        assert float(f"{row['probability']:.4g}") == row["probability"]
        assert row["comparable"] is True
        assert row["notes"] == ""


def test_a_patient_of_few_lesions_is_not_comparable():
    frame = answer_frame(said(["a", "a", "b", "b", "b"], [0.1] * 5), DECISION)
    assert frame["comparable"].to_list() == [False, False, True, True, True]


def test_notes_name_what_is_missing_or_new():
    one = said(
        ["a"] * 6,
        [0.5] * 6,
        age_approx=[50.0, None, 120.0, 50.0, None, float("nan")],
        tbp_lv_H=[30.0, 30.0, 9.5, 30.0, None, 30.0],
        sex=["male", "female", "female", "other", None, "male"],
    )
    notes = notes_of(one.cohort, SEEN, np.array([False, False, False, True, False, False]))
    assert notes.to_list() == [
        "",
        "missing: age_approx",
        "age_approx 120.0 outside 5 to 85; tbp_lv_H 9.5 outside 10 to 60",
        "no usable image; sex 'other' unknown to the models",
        "missing: age_approx, tbp_lv_H",
        "missing: age_approx",
    ]
    many = Seen({f"n{i}": (0.0, 1.0) for i in range(6)}, {}, {}, 1)
    table = pl.DataFrame({"isic_id": ["x"], "patient_id": ["p"], **{f"n{i}": [None] for i in range(6)}})
    text = notes_of(Cohort(table, TASK, labelled=False), many, np.array([False])).to_list()
    assert text == ["6 of 6 measurements missing"]


def test_another_institution_is_said_loudly_and_few_are_not():
    some = said(["a"] * 40, [0.5] * 40, attribution=["A"] * 30 + ["Clinic X"] * 10)
    loud = list(strangers(some.cohort, SEEN))
    assert len(loud) == 1
    assert "25% of the lesions have a value of attribution" in loud[0]
    assert "Clinic X" in loud[0]
    assert list(strangers(said(["a"] * 40, [0.5] * 40, attribution=["A"] * 39 + ["X"]).cohort, SEEN)) == []
    parts = Strangers(SEEN)
    for rows in (slice(0, 5), slice(5, 33), slice(33, 40)):
        parts.see(replace(some.cohort, table=some.cohort.table[rows]))
    assert list(parts.warnings()) == loud
    older = said(["a"] * 10, [0.5] * 10, age_approx=[90.0] * 5 + [50.0] * 5)
    assert "50% of the lesions have a age_approx outside" in next(iter(strangers(older.cohort, SEEN)))


def test_many_classes_have_a_probability_each():
    task = Task("image_id", "lesion", "target", ("x", "y", "z"), score="auc")
    table = pl.DataFrame({"image_id": ["a", "b"], "lesion": ["1", "2"]})
    score = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    decision = Decision(Calibrator("temperature", (Temperature(2.0),)), (), SetRule(0.9, (0.5, 0.5, 0.4)), SEEN)
    nothing = Seen({}, {}, {}, 1)
    decision = Decision(decision.calibrator, (), decision.sets, nothing)
    frame = answer_frame(Said(Cohort(table, task, labelled=False), score, np.zeros(2, dtype=np.bool_)), decision)
    assert frame.columns == ["lesion", "image_id", "most_probable", "x", "y", "z", "call", "comparable", "notes"]
    assert frame["most_probable"].to_list() == ["x", "z"]
    assert frame["call"].to_list() == ["x", "z"]
    np.testing.assert_allclose(frame.select("x", "y", "z").sum_horizontal(), 1.0, atol=1e-3)


def test_what_training_had_is_recorded_and_bounded():
    ids = [f"L{i}" for i in range(300)]
    table = pl.DataFrame(
        {
            "isic_id": ids,
            "patient_id": [f"P{i // 10}" for i in range(300)],
            "target": [int(i == 0) for i in range(300)],
            "age_approx": [float(i % 80) for i in range(300)],
            "sex": ["female", None, "male"] * 100,
            "attribution": ["A", "B", "B"] * 100,
            "remark": ids,
            "iddx_full": ["nevus"] * 300,
        }
    )
    cohort = Cohort(table, TASK, labelled=True, forbidden=frozenset({"iddx_full"}))
    seen = seen_in(cohort, FeatureRecipe())
    assert seen.numbers == {"age_approx": (0.0, 79.0)}
    assert {**seen.categories, **seen.others} == {"sex": ("female", "male"), "attribution": ("A", "B")}
    assert seen.fewest_lesions == 10
    assert seen_in(cohort, FeatureRecipe(families=("published",))).fewest_lesions == 1
    assert Seen.from_json(seen.to_json()) == seen
    with pytest.raises(DataError, match="does not say"):
        Seen.from_json({"numbers": {"age": [1]}})


def test_answers_are_read_back_from_every_kind_of_file(tmp_path: Path):
    frame = answer_frame(said(["=SUM(1)", "a"], [0.5, 0.01]), DECISION)
    for name in ("a.csv", "a.parquet", "a.XLSX"):
        write_answers([frame[:1], frame[1:]], tmp_path / name)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(frame)
    assert pl.read_csv(tmp_path / "a.csv").drop("notes").equals(frame.drop("notes"))
    rows = list(load_workbook(tmp_path / "a.XLSX")["lesions"].iter_rows())
    assert [cell.value for cell in rows[0]] == frame.columns
    assert (rows[1][0].value, rows[1][0].data_type) == ("=SUM(1)", "s")
    assert [row[3].value for row in rows[1:]] == frame["score"].to_list()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.XLSX", "a.csv", "a.parquet"]


def test_nothing_is_written_over_what_is_read_or_is_no_file(tmp_path: Path):
    table, images, run = tmp_path / "new.csv", tmp_path / "images", tmp_path / "run"
    table.write_text("x")
    images.mkdir()
    (images / "list.csv").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(table)
    os.mkfifo(tmp_path / "pipe.csv")
    for name, words in (
        ("answers.txt", "must end in .csv, .parquet or .xlsx"),
        ("answers", "must end in"),
        ("new.csv", "is among what is read"),
        ("images/list.csv", "is among what is read"),
        ("folder.csv", "no regular file"),
        ("link.csv", "no regular file"),
        ("pipe.csv", "no regular file"),
        ("run/new.csv", "lies in the run folder .*; name another place"),
        ("images/../run/card/new.csv", "lies in the run folder"),
    ):
        with pytest.raises(DataError, match=words):
            refuse_bad_target(tmp_path / name, (table, images, None), run)
    refuse_bad_target(tmp_path / "fresh.csv", (table, images, None), run)
    (tmp_path / "old.csv").write_text("earlier answers")
    refuse_bad_target(tmp_path / "old.csv", (table, images, None), run)


def test_a_spreadsheet_has_its_limit(tmp_path: Path):
    refuse_too_many(tmp_path / "a.xlsx", 1_048_575)
    refuse_too_many(tmp_path / "a.csv", 1_048_576)
    with pytest.raises(DataError, match="1,048,575 rows"):
        refuse_too_many(tmp_path / "a.xlsx", 1_048_576)


def test_the_summary_says_what_each_threshold_asks_for():
    out = io.StringIO()
    frame = answer_frame(said(["a", "a", "b", "b"], [0.7, 0.5, 0.31, 0.1]), DECISION)
    summary = Summary(TASK, DECISION)
    for block in frame.partition_by("patient_id"):
        summary.add(block)
    summary.show(Display(Console(file=out, width=200)))
    text = out.getvalue()
    assert "4 lesions of 2 patients" in text
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert [cell.strip() for cell in lines["at 80 %"].split("│")[2:4]] == ["1", "0.5"]
    assert [cell.strip() for cell in lines["at 90 %"].split("│")[2:4]] == ["3", "1.5"]
    assert "too few" in lines["at 95 %"]
    assert "fewer than 3 lesions" in text
