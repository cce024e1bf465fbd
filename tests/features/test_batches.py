"""Batches of whole patients: each patient once, and features equal to those of the whole table."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.errors import DataError, RecipeError
from data.patient_batches import batch_number, cut
from data.readers.isic2024 import read_test
from data.schemas.isic2024 import FORBIDDEN, TASK, TEST_SCHEMA
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.batches import build_in_batches
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    recipe = SyntheticRecipe(lesions=100, test_lesions=900, test_patients=40, images=False, seed=3)
    write_cohort(folder, recipe)
    return next(folder.rglob("test-metadata.csv"))


def cut_here(path, folder, rows=150):
    return cut(path, folder, TEST_SCHEMA, TASK, rows_per_batch=rows, labelled=False, forbidden=FORBIDDEN)


def test_features_equal_those_of_the_whole_table(csv, tmp_path, monkeypatch):
    monkeypatch.setattr("data.patient_batches.CHUNK_ROWS", 64)
    whole_cohort, _, _ = read_test(csv, None)
    ids = whole_cohort.table["isic_id"]
    scores = pl.DataFrame({"lesion_id": ids, "network": [((7 * row) % 97 + 1) / 99 for row in range(len(ids))]})
    recipe = FeatureRecipe()
    whole = build(whole_cohort, recipe, scores)
    batches = cut_here(csv, tmp_path / "cut")
    paths = build_in_batches(batches, recipe, tmp_path / "features", scores.lazy())
    parts = [FeatureTable.read(path) for path in paths]
    assert len(parts) > 3
    assert all(part.features == whole.features for part in parts)
    joined = ids.to_frame("lesion_id").join(
        pl.concat(part.frame for part in parts), on="lesion_id", maintain_order="left"
    )
    assert_frame_equal(joined, whole.frame, check_exact=True)


def test_every_patient_is_whole_and_in_one_batch(csv, tmp_path):
    table = pl.read_csv(csv, infer_schema=False)
    batches = list(cut_here(csv, tmp_path))
    patients = [set(batch.groups) for batch in batches]
    assert sum(map(len, patients)) == len(set.union(*patients)) == table["patient_id"].n_unique()
    assert sum(batch.table.height for batch in batches) == table.height
    for batch in batches:
        expected = table.filter(pl.col("patient_id").is_in(list(set(batch.groups))))
        assert batch.ids.tolist() == expected["isic_id"].to_list(), "rows keep their order"


def test_the_batch_of_a_patient_never_changes():
    assert [batch_number(name, 7) for name in ("IP_0000001", "IP_0000002", " IP_0000001", None)] == [1, 2, 1, 0]


def test_bad_tables_are_one_message(csv, tmp_path):
    table = pl.read_csv(csv, infer_schema=False)
    doubled, nameless, old = tmp_path / "doubled.csv", tmp_path / "nameless.csv", tmp_path / "old.csv"
    pl.concat([table, table[5:6]]).write_csv(doubled)
    table.drop("patient_id").write_csv(nameless)
    table.with_columns(
        age_approx=pl.when(pl.int_range(pl.len()) == 17).then(pl.lit("forty")).otherwise("age_approx")
    ).write_csv(old)
    with pytest.raises(DataError, match="isic_id is not unique"):
        cut_here(doubled, tmp_path / "a")
    with pytest.raises(DataError, match="no column patient_id"):
        cut_here(nameless, tmp_path / "b")
    with pytest.raises(DataError, match=r"age_approx: 1 value is not a number \(row 18: 'forty'\)"):
        list(cut_here(old, tmp_path / "c"))


def test_a_family_that_compares_patients_is_refused(csv, tmp_path):
    ids = pl.read_csv(csv, infer_schema=False)["isic_id"]
    scores = pl.LazyFrame({"lesion_id": ids, "network": [0.5] * len(ids)})
    recipe = FeatureRecipe(families=("published", "image_site_age_z"))
    with pytest.raises(RecipeError, match="compares patients"):
        build_in_batches(cut_here(csv, tmp_path / "cut"), recipe, tmp_path / "features", scores)
