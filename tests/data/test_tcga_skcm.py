"""The TCGA-SKCM reader, on its twin and on the real tables where they are."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.progress import silent
from data.readers.tcga_skcm import read, read_test, write_twin
from data.schemas.tcga_skcm import FORBIDDEN, PATIENTS, PRIMARY_TUMOUR, REFUSED, SAMPLES
from data.synthetic.recipe import TwinRecipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "study"
    made.mkdir()
    write_twin(made, TwinRecipe(lesions=100), silent)
    return made


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_rows_are_samples_and_groups_patients(folder: Path) -> None:
    data = read(folder)
    train = data.train
    assert (data.train_images, data.test, data.notes) == (None, None, ())
    assert len(train.ids) == 100
    assert len(set(train.groups)) == 98
    np.testing.assert_array_equal(train.target, np.char.endswith(train.ids, "-06"))
    assert train.task.probability_columns == ("metastasis",)


def test_the_tables_are_joined_by_patient_and_sample(folder: Path) -> None:
    table = read(folder).train.table
    patients = pl.read_csv(folder / PATIENTS, separator="\t", comment_prefix="#")
    larger = pl.read_csv(folder / PRIMARY_TUMOUR, separator="\t", null_values="NA", infer_schema_length=None)
    age = dict(patients.select("PATIENT_ID", "AGE").rows())
    depth = dict(larger.select("Sample ID", "breslow depth").rows())
    for row in table.iter_rows(named=True):
        assert row["AGE"] == age[row["PATIENT_ID"]]
        assert row["BRESLOW_DEPTH"] == depth[row["SAMPLE_ID"]]


def test_what_follows_from_the_answer_is_never_a_feature(folder: Path) -> None:
    train = read(folder).train
    assert train.forbidden == FORBIDDEN == set(REFUSED)
    assert all(REFUSED.values())
    assert FORBIDDEN & set(train.table.columns) == {"SAMPLE_TYPE", "TISSUE_SOURCE_SITE", "target"}


def test_remarks_and_unassessed_stages_are_missing(folder: Path) -> None:
    path = folder / PATIENTS
    lines = path.read_text().splitlines()
    header = lines[4].split("\t")
    cells = lines[5].split("\t")
    cells[header.index("AGE")], cells[header.index("WEIGHT")] = "[Not Available]", "NA"
    cells[header.index("PATH_T_STAGE")] = "TX"
    lines[5] = "\t".join(cells)
    path.write_text("\n".join(lines) + "\n")
    row = read(folder).train.table.row(0, named=True)
    assert (row["AGE"], row["WEIGHT"], row["PATH_T_STAGE"]) == (None, None, None)


def test_without_the_larger_study_its_columns_are_empty(folder: Path) -> None:
    (folder / PRIMARY_TUMOUR).unlink()
    data = read(folder)
    assert data.train.table["BRESLOW_DEPTH"].null_count() == 100
    assert "BRESLOW_DEPTH" in data.notes[0]


def test_every_problem_is_told_with_its_line(folder: Path) -> None:
    first = read(folder).train.ids[0]
    edit(folder / SAMPLES, f"\t{first}\t", "\t\t")
    lines = (folder / PATIENTS).read_text().splitlines()
    age = lines[4].split("\t").index("AGE")
    cells = lines[7].split("\t")
    cells[age] = "old"
    lines[7] = "\t".join(cells)
    (folder / PATIENTS).write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as caught:
        read(folder)
    assert "column SAMPLE_ID: 1 value is missing, which this column must not be (line 6: empty)" in str(caught.value)
    assert "column AGE: 1 value is not a number (line 8: 'old')" in str(caught.value)


def test_unknown_sample_types_and_strangers_are_refused(folder: Path) -> None:
    edit(folder / SAMPLES, "\tPrimary\t", "\tRecurrence\t")
    with pytest.raises(DataError, match="SAMPLE_TYPE: Recurrence: not one of Primary, Metastasis"):
        read(folder)
    edit(folder / SAMPLES, "\tRecurrence\t", "\tPrimary\t")
    lines = (folder / PATIENTS).read_text().splitlines()
    (folder / PATIENTS).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"samples of patients that data_clinical_patient.txt lacks"):
        read(folder)


def test_new_samples_as_study_and_as_one_table(folder: Path, tmp_path: Path) -> None:
    study, images, _ = read_test(folder, None)
    assert images is None
    assert not FORBIDDEN & set(study.table.columns)
    flat = tmp_path / "new.csv"
    study.table.write_csv(flat)
    again, _, notes = read_test(flat, None)
    assert again.table.equals(study.table.select(again.table.columns))
    assert notes == ()
    with pytest.raises(DataError, match="has no images"):
        read_test(flat, tmp_path)
    with pytest.raises(DataError, match=r"has no data_clinical_sample.txt"):
        read(tmp_path)


@pytest.mark.real
@pytest.mark.skipif("FUSIONNETX_REAL" not in os.environ, reason="set FUSIONNETX_REAL to a folder of real data")
def test_the_published_tables() -> None:
    folder = Path(os.environ["FUSIONNETX_REAL"]) / "tcga_skcm"
    train = read(folder).train
    assert train.table.height == 448
    assert len(set(train.groups)) == 442
    assert np.bincount(train.target).tolist() == [81, 367]
    assert train.table["BRESLOW_DEPTH"].is_not_null().sum() > 300
    # Why the MSI scores are refused: only primary tumours have one.
    samples = pl.read_csv(folder / SAMPLES, separator="\t", comment_prefix="#", infer_schema=False)
    assert (samples["MSI_SCORE_MANTIS"].is_not_null() == (samples["SAMPLE_TYPE"] == "Primary")).all()
