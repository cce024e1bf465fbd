"""`predict` in blocks of whole patients: the same file and words as all at once, whatever the table's order."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from data.cohort import Cohort
from image_models.training.loader import Resident
from pipeline.actions.predict import of_boosters
from pipeline.plan import Plan
from pipeline.runtime import Runtime

Predict = Callable[..., str]


@pytest.fixture
def predict(cli: Any, finished_run: Path, cohort_dir: Path) -> Predict:
    """Write the answers of a table, and return what was said of it."""

    def run(table: Path, out: Path, *options: str) -> str:
        images = cohort_dir / "test-image.hdf5"
        answer = cli("predict", "--run", finished_run, "--metadata", table, "--images", images, "--out", out, *options)
        assert answer.code == 0, answer
        lines = (answer.out + answer.err).replace(str(out), "OUT").splitlines()
        return "\n".join(line for line in lines if not line.startswith(("features of", "stage ")))

    return run


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Make the machine as small as that, so many lesions in a block; returns the patients of each block to come."""

    def shrink(most: int) -> list[int]:
        patients: list[int] = []

        def counted(finished: Plan, runtime: Runtime, part: Cohort, scores: pl.DataFrame | None) -> Any:
            patients.append(len(np.unique(part.groups)))
            return of_boosters(finished, runtime, part, scores)

        monkeypatch.setattr("pipeline.actions.predict.of_boosters", counted)
        monkeypatch.setattr("pipeline.actions.predict.AT_ONCE", most)
        monkeypatch.setattr("data.new_lesions.WHOLE_BYTES", 1)
        monkeypatch.setattr("data.new_lesions.PART_ROWS", 64)
        monkeypatch.setattr("data.tables.csv.PART_BYTES", 20_000)
        return patients

    return shrink


def content(path: Path) -> Any:
    """The bytes of a file; of a spreadsheet, which tells the time, those of its cells."""
    if path.suffix != ".xlsx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as book:
        return [book.read(name) for name in sorted(book.namelist()) if name.startswith("xl/")]


def table_of(cohort_dir: Path, order: str, path: Path) -> Path:
    """The test table with patients in a row, mixed, or taken in turns, and some strange values."""
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False).with_row_index("n")
    strange = pl.when(pl.col("n") % 7 == 3).then(pl.lit("Clinic") + (pl.col("n") % 5).cast(pl.String))
    old = pl.when(pl.col("n") % 9 == 0).then(pl.lit("95")).otherwise("age_approx")
    table = table.with_columns(attribution=strange.otherwise("attribution"), age_approx=old)
    match order:
        case "mixed":
            table = table.sample(fraction=1.0, shuffle=True, seed=5)
        case "in turns":
            table = table.sort(pl.int_range(pl.len()).over("patient_id"), "patient_id")
    table.drop("n").write_csv(path)
    return path


@pytest.mark.parametrize(
    ("order", "most", "kind"),
    [
        ("in a row", 40, "csv"),
        ("mixed", 40, "csv"),
        ("in turns", 40, "parquet"),
        ("mixed", 1, "csv"),
        ("mixed", 1, "xlsx"),
    ],
)
def test_blocks_change_no_byte_and_no_word(
    predict: Predict,
    in_blocks: Callable[[int], list[int]],
    cohort_dir: Path,
    tmp_path: Path,
    order: str,
    most: int,
    kind: str,
):
    table = table_of(cohort_dir, order, tmp_path / "table.csv")
    whole, parts = tmp_path / f"whole.{kind}", tmp_path / f"parts.{kind}"
    said = predict(table, whole)
    assert "Clinic" in said
    patients = in_blocks(most)
    assert predict(table, parts) == said
    assert patients == [1] * 12 if most == 1 else len(patients) > 2 and sum(patients) == 12
    assert content(parts) == content(whole)


def test_the_score_alone_is_the_same_in_blocks(
    predict: Predict, in_blocks: Callable[[int], list[int]], cohort_dir: Path, tmp_path: Path
):
    table = table_of(cohort_dir, "mixed", tmp_path / "table.csv")
    predict(table, tmp_path / "whole.csv", "--plain")
    in_blocks(40)
    predict(table, tmp_path / "parts.csv", "--plain")
    assert content(tmp_path / "parts.csv") == content(tmp_path / "whole.csv")


def test_blocks_without_any_image_are_answered(
    cli: Any, predict: Predict, in_blocks: Callable[[int], list[int]], cohort_dir: Path, tmp_path: Path
):
    table = pl.read_csv(table_of(cohort_dir, "in a row", tmp_path / "table.csv"), infer_schema=False)
    absent = pl.int_range(pl.len()) < 70
    name = pl.when(absent).then(pl.lit("NONE_") + pl.col("isic_id")).otherwise("isic_id")
    table.with_columns(isic_id=name).write_csv(tmp_path / "table.csv")
    said = predict(tmp_path / "table.csv", tmp_path / "whole.csv")
    assert "70 lesions have no usable image" in said
    in_blocks(40)
    assert predict(tmp_path / "table.csv", tmp_path / "parts.csv") == said
    assert content(tmp_path / "parts.csv") == content(tmp_path / "whole.csv")


def test_nothing_is_left_of_a_table_that_is_wrong_at_its_end(
    cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path, in_blocks: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    in_blocks(40)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    last = pl.int_range(pl.len()) == pl.len() - 1
    table.with_columns(tbp_lv_H=pl.when(last).then(pl.lit("red")).otherwise("tbp_lv_H")).write_csv(tmp_path / "t.csv")
    out = tmp_path / "answers.csv"
    answer = cli("predict", "--run", finished_run, "--metadata", tmp_path / "t.csv", "--out", out)
    assert answer.code == 2
    assert f"line {len(table) + 1}: 'red'" in answer.err
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "t.csv"]
    assert not list((tmp_path / "scratch").iterdir())


def test_networks_of_a_device_share_the_images_of_a_block(
    predict: Predict, cohort_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A processor holds none, so it is told to; four blocks, each put there once for all fold models."""
    put: list[int] = []

    def held(model: Any, lesions: Any, device: str) -> Resident:
        rows = np.flatnonzero(lesions.present)
        put.append(len(rows))
        return Resident(rows, torch.from_numpy(np.asarray(lesions.images)[rows]))

    table = table_of(cohort_dir, "in a row", tmp_path / "table.csv")
    predict(table, tmp_path / "gathered.csv")
    monkeypatch.setattr("image_models.predict.held_images", held)
    size = pl.read_csv(table).height
    monkeypatch.setattr("pipeline.new_images.BLOCK_BYTES", -(-size // 4) * 64 * 64 * 3)
    predict(table, tmp_path / "held.csv")
    assert (tmp_path / "held.csv").read_bytes() == (tmp_path / "gathered.csv").read_bytes()
    assert put == [128, size - 128]
