"""Predictions on disk and put together: exact round trips, every fault named."""

import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.cohort import Cohort, Task
from data.errors import DataError
from data.folds import Folds
from data.predictions import TEST_FOLD, Predictions, assemble, mean_of

IDS = np.array([f"ISIC_{i:04d}" for i in range(12)])
FOLD = np.array([0, 1, 2] * 4)
FOLDS = Folds(
    pl.DataFrame({"lesion_id": IDS.tolist(), "group": IDS.tolist(), "fold": FOLD}), np.zeros(12, dtype=np.int64), "file"
)


def predictions_of(ids=IDS, fold=FOLD, columns=("malignant",), seed=0):
    values = np.random.default_rng(seed).dirichlet(np.ones(len(columns) + 1), len(ids))[:, : len(columns)]
    return Predictions(np.asarray(ids), np.broadcast_to(fold, len(ids)).astype(np.int64), values, columns)


def part_of(whole, k):
    rows = np.flatnonzero(k == FOLD)
    return Predictions(whole.lesion_id[rows], whole.fold[rows], whole.probabilities[rows], whole.columns)


def parts_of(whole):
    return [part_of(whole, k) for k in range(3)]


def same(a, b):
    return (
        a.columns == b.columns
        and np.array_equal(a.lesion_id, b.lesion_id)
        and np.array_equal(a.fold, b.fold)
        and np.array_equal(a.probabilities, b.probabilities, equal_nan=True)
        and a.fold.dtype == b.fold.dtype == np.int64
        and a.probabilities.dtype == b.probabilities.dtype == np.float64
    )


@pytest.mark.parametrize("columns", [("malignant",), ("nv", "mel", "bcc")])
def test_a_round_trip_is_exact_and_missing_is_null(tmp_path, columns):
    written = predictions_of(columns=columns)
    written.probabilities[[3, 5]] = np.nan
    written.probabilities[7] = [1.0] + [0.0] * (len(columns) - 1)
    path = tmp_path / "deep" / "predictions.parquet"
    written.write(path)
    assert same(Predictions.read(path, columns), written)
    assert same(Predictions.read(path), written)
    table = pl.read_parquet(path)
    assert table.columns == ["lesion_id", "fold", *columns]
    assert table[columns[0]].null_count() == 2
    assert not table[columns[0]].is_nan().any()
    assert np.flatnonzero(written.missing).tolist() == [3, 5]
    first = path.read_bytes()
    written.write(path)
    assert path.read_bytes() == first


def test_no_lesions_are_written_and_read(tmp_path):
    nothing = predictions_of(ids=IDS[:0], fold=FOLD[:0])
    nothing.write(tmp_path / "p.parquet")
    assert len(Predictions.read(tmp_path / "p.parquet").lesion_id) == 0


def test_arrays_that_do_not_fit_are_bugs():
    with pytest.raises(ValueError, match="12 ids, fold"):
        Predictions(IDS, FOLD[:5], np.zeros((12, 1)), ("malignant",))
    with pytest.raises(ValueError, match="do not fit"):
        Predictions(IDS, FOLD, np.zeros((12, 2)), ("malignant",))
    with pytest.raises(ValueError, match="repeat"):
        Predictions(IDS, FOLD, np.zeros((12, 2)), ("a", "a"))
    with pytest.raises(ValueError, match="named like"):
        Predictions(IDS, FOLD, np.zeros((12, 1)), ("fold",))


def test_positive_is_the_one_column():
    assert predictions_of().positive.shape == (12,)
    with pytest.raises(ValueError, match="one probability column"):
        _ = predictions_of(columns=("a", "b")).positive


@pytest.mark.parametrize("value", [1.5, -0.1, np.inf])
def test_what_read_refuses_is_not_written(tmp_path, value):
    predictions = predictions_of()
    predictions.probabilities[2] = value
    with pytest.raises(ValueError, match=r"malignant is outside \[0, 1\] in 1 rows"):
        predictions.write(tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


GOOD = {"lesion_id": IDS.tolist(), "fold": FOLD.tolist(), "malignant": [0.5] * 12}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"malignant": [0.5] * 11 + [2.0]}, r"malignant is outside \[0, 1\] in 1 rows"),
        ({"malignant": [0.5] * 11 + [float("nan")]}, "outside"),
        ({"malignant": ["0.5"] * 12}, "malignant is String, not a number"),
        ({"lesion_id": [*IDS[:11], IDS[0]]}, r"1 lesions appear more than once \(ISIC_0000\)"),
        ({"lesion_id": [*IDS[:11], None]}, "lesion_id is not text in every row"),
        ({"lesion_id": list(range(12))}, "lesion_id is not text"),
        ({"fold": [0.5] * 12}, "fold is not a whole number"),
        ({"fold": [-2] * 12}, "fold is not a whole number of at least -1"),
        ({"fold": [None] + [1] * 11}, "fold is not a whole number"),
        ({"second": [None] + [0.1] * 11}, "1 rows have some classes missing but not all"),
    ],
)
def test_damaged_tables_are_named(tmp_path, change, message):
    pl.DataFrame({**GOOD, **change}, strict=False).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match=rf"p\.parquet is damaged: .*{message}.*\. Remove it and predict again\."):
        Predictions.read(tmp_path / "p.parquet")


def test_all_problems_come_in_one_message(tmp_path):
    change = {"malignant": [7.0] * 12, "fold": [-5] * 12, "lesion_id": ["x"] * 12}
    pl.DataFrame({**GOOD, **change}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"more than once \(x\); fold is not .*; malignant is outside"):
        Predictions.read(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("dropped", "message"),
    [
        ("fold", "column fold missing"),
        ("lesion_id", "column lesion_id missing"),
        ("malignant", "no probability column"),
    ],
)
def test_absent_columns_are_named(tmp_path, dropped, message):
    pl.DataFrame(GOOD).drop(dropped).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match=message):
        Predictions.read(tmp_path / "p.parquet")


def test_predictions_of_another_task_are_refused(tmp_path):
    predictions_of().write(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="holds probabilities of malignant, but the task needs nv, mel"):
        Predictions.read(tmp_path / "p.parquet", ("nv", "mel"))


def test_files_that_are_no_parquet(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(DataError, match=r"p\.parquet does not exist"):
        Predictions.read(path)
    path.write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="is not a whole parquet file"):
        Predictions.read(path)
    predictions_of().write(path)
    whole = path.read_bytes()
    for cut in (0, 1, 4, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"p\.parquet is not a whole parquet file .* Run the stage"):
            Predictions.read(path)


def test_a_panic_of_polars_is_a_damaged_file_and_not_a_crash(tmp_path, monkeypatch):
    def panic(*args, **options):
        raise pl.exceptions.PanicException("assertion failed: offset + length <= self.length")

    predictions_of().write(tmp_path / "p.parquet")
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(DataError, match="assertion failed"):
        Predictions.read(tmp_path / "p.parquet")


def test_a_folder_with_wildcards_in_its_name(tmp_path):
    path = tmp_path / "run [a*]" / "p.parquet"
    predictions_of().write(path)
    assert same(Predictions.read(path), predictions_of())


@given(st.randoms(use_true_random=False), st.booleans())
def test_assembled_parts_are_the_whole_in_cohort_order(random, many):
    whole = predictions_of(columns=("a", "b", "c") if many else ("malignant",), seed=random.randrange(1000))
    whole.probabilities[4] = np.nan
    shuffled = []
    for part in parts_of(whole):
        order = np.array(random.sample(range(4), 4))
        shuffled.append(Predictions(part.lesion_id[order], part.fold[order], part.probabilities[order], part.columns))
    random.shuffle(shuffled)
    assert same(assemble(shuffled, IDS, FOLDS), whole)


def test_a_missing_fold_is_named():
    with pytest.raises(DataError, match=r"put together: fold 1 has no predictions \(train it\)$"):
        assemble([p for k, p in enumerate(parts_of(predictions_of())) if k != 1], IDS, FOLDS)


def test_every_other_fault_is_named_at_once():
    parts = parts_of(predictions_of())
    parts[0].lesion_id[0] = "ISIC_9999"  # a stranger instead of ISIC_0000
    parts[1].lesion_id[0] = "ISIC_0002"  # a lesion of fold 2 instead of ISIC_0001
    with pytest.raises(DataError) as caught:
        assemble(parts, IDS, FOLDS)
    message = str(caught.value)
    assert "1 lesions of fold 0 are not predicted (ISIC_0000)" in message
    assert "1 lesions of fold 1 are not predicted (ISIC_0001)" in message
    assert "1 lesions are predicted more than once (ISIC_0002)" in message
    assert "1 predicted lesions are not in the cohort (ISIC_9999)" in message
    assert "1 lesions are predicted by the model of another fold, which has seen them (ISIC_0002)" in message
    assert "fold 2" not in message


def test_two_folds_that_changed_places_are_found():
    parts = parts_of(predictions_of())
    swapped = [Predictions(p.lesion_id, (p.fold + 1) % 3, p.probabilities, p.columns) for p in parts]
    with pytest.raises(DataError, match="12 lesions are predicted by the model of another fold"):
        assemble(swapped, IDS, FOLDS)


def test_test_predictions_are_no_out_of_fold_predictions():
    with pytest.raises(DataError, match="fold 0, 1, 2 has no predictions"):
        assemble([predictions_of(fold=TEST_FOLD)], IDS, FOLDS)


def test_a_cohort_that_folds_do_not_know():
    with pytest.raises(DataError, match=r"1 lesions of the cohort are in no fold \(ISIC_5000\)"):
        assemble(parts_of(predictions_of()), np.append(IDS, "ISIC_5000"), FOLDS)


def test_parts_of_different_tasks():
    with pytest.raises(DataError, match="different classes cannot be put together: malignant and nv"):
        assemble([predictions_of(), predictions_of(columns=("nv",))], IDS, FOLDS)
    with pytest.raises(ValueError, match="no predictions"):
        mean_of([])


def test_mean_of_fold_models_whatever_their_order():
    parts = [predictions_of(fold=TEST_FOLD, seed=seed) for seed in range(3)]
    expected = np.mean([part.probabilities for part in parts], axis=0)
    order = np.random.default_rng(0).permutation(12)
    parts[1] = Predictions(IDS[order], parts[1].fold, parts[1].probabilities[order], parts[1].columns)
    mean = mean_of(parts)
    np.testing.assert_allclose(mean.probabilities, expected, atol=1e-15)
    assert mean.lesion_id.tolist() == IDS.tolist()
    assert set(mean.fold) == {TEST_FOLD}


def test_mean_is_missing_only_where_all_are():
    a, b = predictions_of(fold=TEST_FOLD), predictions_of(fold=TEST_FOLD, seed=1)
    a.probabilities[[0, 1]] = np.nan
    b.probabilities[[1, 2]] = np.nan
    mean = mean_of([a, b])
    assert np.flatnonzero(mean.missing).tolist() == [1]
    assert mean.positive[0] == b.positive[0]
    assert mean.positive[2] == a.positive[2]


def test_mean_stays_a_probability(tmp_path):
    ones = Predictions(IDS, np.full(12, TEST_FOLD), np.full((12, 1), 1.0), ("malignant",))
    mean_of([ones] * 7).write(tmp_path / "p.parquet")


def test_mean_over_other_lesions_is_refused():
    other = predictions_of(ids=np.append(IDS[:11], "ISIC_7777"), fold=TEST_FOLD)
    with pytest.raises(DataError, match=r"part 1 predicts other lesions than part 0 \(ISIC_0011, ISIC_7777\)"):
        mean_of([predictions_of(fold=TEST_FOLD), other])


def test_works_with_a_cohort_and_folds_from_disk(tmp_path):
    table = pl.DataFrame({"isic_id": IDS.tolist(), "patient_id": IDS.tolist(), "target": [0, 0, 0, 1, 1, 1] * 2})
    cohort = Cohort(table, Task("isic_id", "patient_id", "target"), labelled=True)
    out = io.BytesIO()
    FOLDS.table.write_parquet(out)
    (tmp_path / "folds.parquet").write_bytes(out.getvalue())
    folds = Folds.read(tmp_path / "folds.parquet", cohort)
    whole = predictions_of()
    for k, part in enumerate(parts_of(whole)):
        part.write(tmp_path / f"fold_{k}.parquet")
    parts = [Predictions.read(tmp_path / f"fold_{k}.parquet", cohort.task.probability_columns) for k in range(3)]
    assert same(assemble(parts, cohort.ids, folds), whole)
