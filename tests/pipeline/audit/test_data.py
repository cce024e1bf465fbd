"""The audit's searches of the data: copies, columns that give something away, drift; against brute force and scipy."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kruskal, ks_2samp

from data.images.pack_build import build_pack
from data.readers.isic2024 import read
from pipeline.audit.drift import binned_number, drift, stability_index
from pipeline.audit.duplicates import across, alike, same_patients
from pipeline.audit.giveaways import fold_columns, patient_columns
from pipeline.audit.hashes import BITS, distance, hashes, near_pairs, thumbnails, turned
from research.planted.mutations import DATA_LEAKS, Pictures, data_findings


def words_of(bits: np.ndarray) -> np.ndarray:
    packed = np.zeros((len(bits), 40), np.uint8)
    packed[:, : BITS // 8] = np.packbits(bits, axis=1)
    return packed.view(np.uint64)


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    """Hashes of which some are a few bits apart, some equal."""
    rng = np.random.default_rng(0)
    random = rng.integers(0, 2, (300, BITS)).astype(np.uint8)
    for i in range(60):
        random[200 + i] = random[i]
        random[200 + i, rng.choice(BITS, i // 3, replace=False)] ^= 1
    return random


@pytest.mark.parametrize("radius", [0, 3, 12])
def test_near_pairs_are_those_of_comparing_all_with_all(bits: np.ndarray, radius: int):
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    i, j = np.triu_indices(len(bits), 1)
    wanted = {(a, b, apart[a, b]) for a, b in zip(i, j, strict=True) if apart[a, b] <= radius}
    assert wanted
    assert set(zip(*near_pairs(words_of(bits), radius=radius), strict=True)) == wanted


def test_near_pairs_of_two_sets_are_those_of_comparing_all_with_all(bits: np.ndarray):
    one, other = bits[:210], bits[190:]
    apart = (one[:, None] != other[None]).sum(axis=2)
    wanted = {(a, b, apart[a, b]) for a, b in zip(*np.nonzero(apart <= 8), strict=True)}
    assert set(zip(*near_pairs(words_of(one), words_of(other), radius=8), strict=True)) == wanted


@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_distance_counts_bits(seed: int, flips: int):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 2, (1, BITS)).astype(np.uint8)
    other = one.copy()
    other[0, rng.choice(BITS, flips, replace=False)] ^= 1
    assert distance(words_of(one), words_of(other)).tolist() == [flips]


def test_the_symmetries_are_the_eight_of_the_square():
    image = np.arange(9).reshape(1, 3, 3)
    found = {turned(image, s).tobytes() for s in range(8)}
    wanted = {np.ascontiguousarray(np.rot90(m, k)).tobytes() for m in (image[0], image[0].T) for k in range(4)}
    assert found == wanted


@pytest.fixture(scope="module")
def pictures(cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """The tiny cohort with its pictures at 32 pixels, folds by patient."""
    data = read(cohort_dir)
    folder = tmp_path_factory.mktemp("packs") / "pack"
    pack = build_pack(data.train_images, data.train.ids, folder, size=32, max_missing_share=0.05, workers=1)
    fold = np.unique(data.train.groups, return_inverse=True)[1] % 3
    return Pictures(data.train, np.array(pack.images), pack.present, fold)


def test_hashes_survive_compression_and_brightness(pictures: Pictures):
    images = pictures.images[:50]
    again = np.stack([cv2.imdecode(cv2.imencode(".jpg", i, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], 1) for i in images])
    brighter = np.clip(images.astype(int) + 5, 0, 255).astype(np.uint8)
    plain = hashes(thumbnails(images))
    others = distance(plain, np.roll(plain, 1, axis=0))
    for changed in (again, brighter):
        assert np.median(distance(plain, hashes(thumbnails(changed)))) < np.median(others) / 4


def test_the_demo_cohort_has_no_copies_and_planted_ones_are_found(pictures: Pictures):
    assert not [pair for pair in across(alike(pictures.images, pictures.present), pictures.fold) if pair.copy]
    rows = np.flatnonzero(pictures.present)[:6]
    images = pictures.images.copy()
    targets = np.flatnonzero(pictures.present)[100:106]
    images[targets[0]] = images[rows[0]]
    images[targets[1]] = images[rows[1]][:, ::-1]
    images[targets[2]] = np.rot90(images[rows[2]])
    images[targets[3]] = cv2.imdecode(cv2.imencode(".jpg", images[rows[3]], [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 1)
    found = {(pair.one, pair.other) for pair in alike(images, pictures.present) if pair.copy}
    assert {(int(a), int(b)) for a, b in zip(rows[:4], targets[:4], strict=True)} <= found
    assert not {(int(a), int(b)) for a, b in zip(rows[4:], targets[4:], strict=True)} & found


@pytest.mark.parametrize("leak", DATA_LEAKS, ids=lambda leak: leak.name)
def test_leaks_in_the_data_are_found(pictures: Pictures, leak):
    assert data_findings(pictures) == []
    assert data_findings(leak.plant(pictures))


def test_a_patient_under_two_ids_is_named(pictures: Pictures):
    cohort = pictures.cohort
    name = cohort.groups[0]
    rows = np.flatnonzero(cohort.groups == name)[:3]
    second = cohort.table[rows].with_columns(
        pl.lit("IP_again").alias("patient_id"), (pl.col("isic_id") + "x").alias("isic_id")
    )
    larger = dataclasses.replace(cohort, table=pl.concat([cohort.table, second]))
    (found,) = same_patients(larger, [])
    assert {found.one, found.other} == {name, "IP_again"}
    assert found.equal_rows == 3
    assert "sex" in found.agreeing


def test_fold_columns_agree_with_scipy_and_correct_for_their_number(pictures: Pictures):
    table = pictures.cohort.table.with_columns(pl.Series("fold", pictures.fold))
    name = "tbp_lv_H"
    medians = table.group_by("patient_id").agg(pl.col(name).median(), pl.col("fold").first())
    wanted = kruskal(*(part[name].to_numpy() for part in medians.partition_by("fold")))
    columns = fold_columns(pictures.cohort, pictures.fold)
    found = next(column for column in columns if column.name == name)
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(min(1.0, wanted.pvalue * len(columns)))
    assert not any(column.knows_the_fold for column in columns)


def test_a_category_or_a_gap_that_knows_the_fold_is_found(pictures: Pictures):
    cohort, fold = pictures.cohort, pictures.fold
    changed = cohort.table.with_columns(
        pl.Series("attribution", np.array(["a", "b", "c"])[fold].tolist()),
        pl.when(pl.Series(fold) == 1).then(None).otherwise("tbp_lv_L").alias("tbp_lv_L"),
    )
    knowing = {c.name for c in fold_columns(dataclasses.replace(cohort, table=changed), fold) if c.knows_the_fold}
    assert knowing == {"attribution", "tbp_lv_L missing"}


def test_a_column_that_names_the_patient_is_found(pictures: Pictures):
    codes = np.unique(pictures.cohort.groups, return_inverse=True)[1].astype(float)
    table = pictures.cohort.table.with_columns(pl.Series("clin_size_long_diam_mm", codes))
    first, *others = patient_columns(dataclasses.replace(pictures.cohort, table=table))
    assert (first.name, first.singled_out, first.between) == ("clin_size_long_diam_mm", 1.0, pytest.approx(1.0))
    assert others[0].singled_out < 0.5


def test_stability_index_is_its_formula():
    one, other = np.array([10, 30, 60]), np.array([50, 30, 20])
    p, q = one / 100, other / 100
    assert stability_index(one, other) == pytest.approx(np.sum((p - q) * np.log(p / q)))
    assert stability_index(one, 3 * one) == 0.0
    assert np.isfinite(stability_index([5, 0], [0, 5]))


def test_bins_hold_tenths_of_the_training_values_and_the_gaps():
    train, test = pl.Series([*range(100), None]).cast(pl.Float64), pl.Series([-5.0, 200.0, None, None])
    left, right = binned_number(train, test)
    assert left == [10] * 10 + [1]
    assert right == [1, *[0] * 8, 1, 2]


def test_drift_names_the_column_that_moved(pictures: Pictures, cohort_dir: Path):
    test = read(cohort_dir).test
    assert test is not None
    calm = drift(pictures.cohort, test)
    name = "tbp_lv_H"
    moved = dataclasses.replace(test, table=test.table.with_columns(pl.col(name) + 100.0))
    found = drift(pictures.cohort, moved)
    assert found.columns[0].name == name
    assert found.auc > 0.95 > calm.auc
    medians = [
        cohort.table.group_by("patient_id").agg(pl.col(name).median())[name].to_numpy()
        for cohort in (pictures.cohort, moved)
    ]
    assert found.columns[0].ks == pytest.approx(ks_2samp(*medians).statistic)
    unseen = {column.name: column.unseen for column in calm.columns}
    assert unseen["attribution"] == 1  # the synthetic test part has one institution of its own
