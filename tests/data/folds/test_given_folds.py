import re

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort
from data.errors import DataError, examples
from data.folds import FoldRecipe, Folds, fold_problems, make_folds
from data.schemas.ham10000 import BINARY
from tests.data.folds.shared import GOOD, SMALL, check, cohort_of, parquet_of, random_cohort, write_csv


def test_written_folds_come_back_with_their_method(tmp_path):
    cohort = random_cohort()
    folds = make_folds(cohort, FoldRecipe(count=3))
    folds.write(tmp_path / "folds.parquet")
    back = Folds.read(tmp_path / "folds.parquet", cohort)
    assert back.table.equals(folds.table)
    assert back.method == folds.method == "scikit-learn"
    assert list(pl.read_parquet(tmp_path / "folds.parquet").columns) == ["lesion_id", "group", "fold"]
    assert [path.name for path in tmp_path.iterdir()] == ["folds.parquet"]


@pytest.mark.parametrize("header", ["isic_id,fold", "lesion_id,fold"])
def test_a_users_csv_in_any_order(tmp_path, header):
    order = np.random.default_rng(0).permutation(8)
    path = write_csv(tmp_path / "mine.csv", np.array(GOOD)[order], SMALL.ids[order], header)
    folds = make_folds(SMALL, FoldRecipe(file=str(path)))
    assert folds.fold.tolist() == GOOD
    assert folds.method == "file"
    check(folds, SMALL, 2)


def test_a_users_parquet_with_other_columns_and_types(tmp_path):
    table = pl.DataFrame(
        {"note": ["x"] * 8, "fold": pl.Series(GOOD, dtype=pl.Float32), "lesion_id": pl.Series(SMALL.ids.tolist())}
    )
    table.write_parquet(tmp_path / "mine.parquet")
    assert Folds.read(tmp_path / "mine.parquet", SMALL).fold.tolist() == GOOD


def test_ids_of_digits_keep_their_zeros(tmp_path):
    table = SMALL.table.with_columns(isic_id=pl.Series([f"{i:03d}" for i in range(8)]))
    cohort = Cohort(table, SMALL.task, labelled=True)
    path = write_csv(tmp_path / "mine.csv", GOOD, cohort.ids)
    assert Folds.read(path, cohort).fold.tolist() == GOOD


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ([0, 1, 0, 0, 1, 1, 1, 0], r"2 patients are in more than one fold \(IP_a, IP_d\)"),
        ([0, 0, 0, 0, 2, 2, 2, 2], r"fold 1 is empty \(folds must be 0 to 2\)"),
        ([1, 1, 1, 1, 2, 2, 2, 2], "fold 0 is empty"),
        ([0, 0, 0, 0, 0, 0, 0, 0], "all lesions are in one fold"),
        ([0, 0, 0, 0, 1, 1, 1, -1], "fold -1 is negative"),
        ([0, 0, 0, 0, 1, 1, 900, 900], "fold 900 is more than 8 lesions can fill"),
        ([0, 0, 0, 0, 1, 1, 1, 0.5], r"1 rows have no whole number as fold \(0.5\), first for lesion ISIC_0007"),
        ([0, 0, 0, 0, 1, 1, "x", ""], r"2 rows have no whole number as fold \(x, None\)"),
        ([0, 0, 0, 0, 1, 1, "inf", "1e300"], r"2 rows have no whole number as fold \(inf, 1e300\)"),
    ],
)
def test_faults_of_a_users_folds_are_named(tmp_path, fold, message):
    path = write_csv(tmp_path / "mine.csv", fold)
    with pytest.raises(DataError, match=f"fold file {re.escape(str(path))}: .*{message}"):
        Folds.read(path, SMALL)


def test_a_fold_without_positives_and_uneven_ones(tmp_path):
    cohort = cohort_of(np.arange(40), [1] * 20 + [0] * 20)
    without = write_csv(tmp_path / "a.csv", [0] * 20 + [0, 1] * 10, cohort.ids)
    with pytest.raises(DataError, match=r"fold 1 has no lesion of class malignant\."):
        Folds.read(without, cohort)
    uneven = write_csv(tmp_path / "b.csv", [0] * 15 + [1] * 5 + [0, 1] * 10, cohort.ids)
    with pytest.raises(DataError, match=r"malignant lesions are spread unevenly \(15, 5 by fold\)"):
        make_folds(cohort, FoldRecipe(file=str(uneven)))
    assert make_folds(cohort, FoldRecipe(file=str(uneven), max_positive_imbalance=0.5)).count == 2


def test_folds_once_made_are_obeyed_whatever_their_balance(tmp_path):
    cohort = cohort_of(np.arange(40), [1] * 20 + [0] * 20)
    uneven = write_csv(tmp_path / "mine.csv", [0] * 15 + [1] * 5 + [0, 1] * 10, cohort.ids)
    made = make_folds(cohort, FoldRecipe(file=str(uneven), max_positive_imbalance=0.5))
    made.write(tmp_path / "folds.parquet")
    assert Folds.read(tmp_path / "folds.parquet", cohort).table.equals(made.table)


def test_a_class_that_no_lesion_has_is_missed_in_every_fold(tmp_path):
    cohort = cohort_of("aabbccdd", [0, 1] * 4, ("benign", "malignant", "indeterminate"))
    with pytest.raises(DataError, match="fold 0, 1 has no lesion of class indeterminate"):
        Folds.read(write_csv(tmp_path / "mine.csv", GOOD), cohort)


def test_a_file_for_other_lesions_names_all_differences(tmp_path):
    ids = SMALL.ids.copy()
    ids[7], ids[1] = "ISIC_9999", ids[0]
    with pytest.raises(DataError, match=r"mine\.csv") as caught:
        Folds.read(write_csv(tmp_path / "mine.csv", GOOD, ids), SMALL)
    message = str(caught.value)
    assert "1 lesions appear more than once (ISIC_0000)" in message
    assert "2 lesions of the cohort are not in it (ISIC_0001, ISIC_0007)" in message
    assert "1 lesions are not in the cohort (ISIC_9999)" in message


def test_the_number_of_folds_asked_for_must_be_that_of_the_file(tmp_path):
    path = str(write_csv(tmp_path / "mine.csv", GOOD))
    with pytest.raises(DataError, match=r"has 2 folds, but the recipe says folds.count = 4. Set folds.count = 2"):
        make_folds(SMALL, FoldRecipe(file=path, count=4))
    assert make_folds(SMALL, FoldRecipe(file=path, count=2)).count == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"", "not a whole parquet file"),
        ("a.parquet", b"isic_id,fold\n", "not a whole parquet file"),
        ("a.txt", b"isic_id,fold\nISIC_0000,1\n", "Give a parquet or .csv table"),
        ("a.csv", b"", "a.csv"),
        ("a.csv", b"isic_id,split\nISIC_0000,1\n", "has the columns isic_id, split. It needs isic_id"),
        ("a.parquet", parquet_of(pl.DataFrame({"isic_id": ["a"], "fold": [[1]]})), "holds lists"),
    ],
)
def test_files_that_are_no_fold_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        Folds.read(tmp_path / name, SMALL)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"missing\.parquet does not exist"):
        Folds.read(tmp_path / "missing.parquet", SMALL)
    with pytest.raises(DataError, match="cannot be read"):
        Folds.read(tmp_path, SMALL)


def test_messages_name_the_groups_of_the_data_set():
    table = pl.DataFrame({"image_id": list("abcdef"), "lesion_id": list("ppqqrs"), "target": [0, 0, 0, 0, 0, 1]})
    cohort = Cohort(table, BINARY, labelled=True)
    with pytest.raises(DataError, match="at least 2 lesions, but of 4 lesions malignant has 1 images of 1 lesions"):
        make_folds(cohort, FoldRecipe(count=2))
    problems = fold_problems(np.array([0, 1, 0, 0, 1, 1]), cohort, 1.0)
    assert problems[0] == "1 lesions are in more than one fold (p)"


def test_examples():
    assert examples(["a", "b"]) == "a, b"
    assert examples(range(9)) == "0, 1, 2, 3, 4, ..."
