"""Folds: whole patients, balanced classes, and one clear message for every fault of a user's own file."""

import io
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from data import folds as folds_module
from data.cohort import Cohort, Task
from data.errors import DataError, examples
from data.folds import FoldRecipe, Folds, fold_problems, make_folds
from data.schemas.ham10000 import BINARY


def cohort_of(group, target, classes=("benign", "malignant")):
    table = pl.DataFrame(
        {
            "isic_id": [f"ISIC_{i:04d}" for i in range(len(group))],
            "patient_id": [f"IP_{g}" for g in group],
            "target": np.asarray(target, dtype=np.int64),
        }
    )
    return Cohort(table, Task("isic_id", "patient_id", "target", classes), labelled=True)


def random_cohort(seed=0, n_patients=80, rate=0.06, n_classes=2, mean_lesions=12):
    """Patients of very different size and risk, lesions in random order."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_patients), rng.geometric(1 / mean_lesions, n_patients))
    risk = rng.lognormal(0, 1, n_patients)[group]
    target = (rng.random(len(group)) < rate * risk) * rng.integers(1, n_classes, len(group))
    enough = np.unique(group, return_index=True)[1][: 6 * n_classes]  # each class in at least six patients
    target[enough] = np.arange(len(enough)) % n_classes
    order = rng.permutation(len(group))
    return cohort_of(group[order], target[order], tuple(f"class{c}" for c in range(n_classes)))


def check(folds, cohort, count):
    """What must hold of any folds, by plain loops."""
    assert folds.table.columns == ["lesion_id", "group", "fold"]
    assert folds.table["lesion_id"].to_list() == cohort.ids.tolist()
    assert folds.table["group"].to_list() == cohort.groups.tolist()
    assert folds.fold.dtype == np.int64
    assert folds.count == count
    fold_of = {}
    for patient, k in zip(cohort.groups, folds.fold, strict=True):
        assert fold_of.setdefault(patient, k) == k
    held_out = []
    for k in range(count):
        train, validation = folds.train_rows(k), folds.validation_rows(k)
        assert train.dtype == validation.dtype == np.int64
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(cohort.table)))
        assert set(cohort.target[validation]) == set(range(len(cohort.task.classes)))
        held_out.extend(validation)
    assert sorted(held_out) == list(range(len(cohort.table)))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_made_folds_are_whole_and_balanced(count, n_classes):
    cohort = random_cohort(count, n_classes=n_classes)
    folds = make_folds(cohort, FoldRecipe(count=count, seed=1))
    check(folds, cohort, count)
    for code in range(n_classes):
        held = [np.sum(cohort.target[folds.validation_rows(k)] == code) for k in range(count)]
        largest = max(np.sum(cohort.target[cohort.groups == p] == code) for p in set(cohort.groups))
        assert max(held) - min(held) <= 2 * largest


def test_scikit_learn_is_used_as_it_is():
    cohort = random_cohort()
    folds = make_folds(cohort, FoldRecipe(count=4, seed=7))
    splitter = StratifiedGroupKFold(4, shuffle=True, random_state=7)
    for k, (train, held_out) in enumerate(splitter.split(cohort.ids, cohort.target, cohort.groups)):
        np.testing.assert_array_equal(folds.validation_rows(k), held_out)
        np.testing.assert_array_equal(folds.train_rows(k), train)
    assert folds.method == "scikit-learn"


def test_seeds_matter_and_repeat():
    cohort = random_cohort()
    one, again, other = (make_folds(cohort, FoldRecipe(seed=seed)).fold for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)


class Unstratified:
    """What scikit-learn releases with the defect do when shuffling: patients by chance or by size, not by class."""

    def __init__(self, count, *, shuffle, random_state):
        self.count = count

    def split(self, X, y, groups):
        return GroupKFold(self.count).split(X, y, groups)


def one_malignant_lesion_of_the_small():
    """GroupKFold spreads lesions evenly, and puts nearly all of these melanomas into two of four folds."""
    group = np.repeat(np.arange(40), [60] * 2 + [3] * 38)
    target = np.zeros(len(group), dtype=int)
    target[[np.flatnonzero(group == g)[0] for g in range(2, 34)]] = 1
    return cohort_of(group, target)


def test_folds_that_are_not_stratified_are_made_another_way(monkeypatch):
    cohort = one_malignant_lesion_of_the_small()
    folds = Unstratified(4, shuffle=True, random_state=0)
    fold = np.zeros(len(cohort.table), dtype=np.int64)
    for k, (_, held_out) in enumerate(folds.split(cohort.ids, cohort.target, cohort.groups)):
        fold[held_out] = k
    assert "unevenly" in " ".join(fold_problems(fold, cohort, 0.2))  # the stand-in is bad enough to be noticed

    monkeypatch.setattr(folds_module, "StratifiedGroupKFold", Unstratified)
    made = make_folds(cohort, FoldRecipe(count=4))
    assert made.method == "greedy"
    check(made, cohort, 4)
    assert all(abs(n - 8) <= 1 for n in made.summary()["positives"])
    np.testing.assert_array_equal(made.fold, make_folds(cohort, FoldRecipe(count=4)).fold)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_second_way_alone_is_whole_and_balanced(seed, count):
    cohort = random_cohort(seed % 50)
    fold = folds_module._greedy(cohort, count, seed)
    assert fold_problems(fold, cohort, 0.0) == []
    held = np.bincount(fold)
    largest = np.unique(cohort.groups, return_counts=True)[1].max()
    assert np.ptp(held) <= largest


def test_summary_counts():
    cohort = cohort_of(["a", "a", "b", "c", "d"], [0, 1, 0, 1, 0])
    table = pl.DataFrame({"lesion_id": cohort.ids.tolist(), "group": cohort.groups.tolist(), "fold": [0, 0, 0, 1, 1]})
    summary = Folds(table, cohort.target, "file").summary()
    assert summary.rows() == [(0, 3, 2, 1), (1, 2, 2, 1)]


@pytest.mark.parametrize("k", [-1, 5])
def test_a_fold_that_is_not_there(k):
    folds = make_folds(random_cohort(), FoldRecipe())
    with pytest.raises(IndexError, match=f"no fold {k} among 5"):
        folds.train_rows(k)


def test_too_few_patients_with_positives():
    cohort = cohort_of(np.repeat(np.arange(20), 3), [1, 1, 1, 1] + [0] * 56)  # 4 positives, 2 patients
    with pytest.raises(DataError, match=r"malignant has 4 lesions of 2 patients. Use fewer folds \(folds.count\)"):
        make_folds(cohort, FoldRecipe(count=3))
    check(make_folds(cohort, FoldRecipe(count=2)), cohort, 2)


def test_one_patient_or_one_class():
    with pytest.raises(DataError, match="of 1 patients benign has 2 lesions of 1 patients; malignant has 2"):
        make_folds(cohort_of([1] * 4, [0, 1, 0, 1]), FoldRecipe())
    with pytest.raises(DataError, match="malignant has 0 lesions of 0 patients"):
        make_folds(cohort_of(range(10), [0] * 10), FoldRecipe())


def test_one_patient_with_most_positives_is_put_up_with():
    target = np.zeros(60, dtype=int)
    target[:10] = 1  # patient 0 has ten of them, the next four one each
    target[[10, 20, 30, 40]] = 1
    cohort = cohort_of(np.repeat(np.arange(6), 10), target)
    check(make_folds(cohort, FoldRecipe(count=5)), cohort, 5)


@pytest.mark.parametrize(
    "values",
    [{"count": 1}, {"count": 5.0}, {"count": "5"}, {"seed": -1}, {"folds": 5}, {"max_positive_imbalance": -0.1}],
)
def test_recipes_are_strict(values):
    with pytest.raises(ValidationError):
        FoldRecipe(**values)


def test_written_folds_come_back_with_their_method(tmp_path):
    cohort = random_cohort()
    folds = make_folds(cohort, FoldRecipe(count=3))
    folds.write(tmp_path / "folds.parquet")
    back = Folds.read(tmp_path / "folds.parquet", cohort)
    assert back.table.equals(folds.table)
    assert back.method == folds.method == "scikit-learn"
    assert list(pl.read_parquet(tmp_path / "folds.parquet").columns) == ["lesion_id", "group", "fold"]
    assert [path.name for path in tmp_path.iterdir()] == ["folds.parquet"]


SMALL = cohort_of(["a", "a", "b", "b", "c", "c", "d", "d"], [1, 0] * 4)
GOOD = [0, 0, 0, 0, 1, 1, 1, 1]


def write_csv(path, fold, ids=SMALL.ids, header="isic_id,fold"):
    lines = [header, *(f"{lesion},{k}" for lesion, k in zip(ids, fold, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


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


def parquet_of(table):
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()


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
