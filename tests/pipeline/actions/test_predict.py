"""Predict new patients with a finished run: the submission again, without training data, and no half-finished run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.folders import reports_changed, written

pytestmark = pytest.mark.slow


@pytest.fixture
def predict(cli: Any, run_copy: Path, tmp_path: Path, cohort_dir: Path) -> Any:
    """Predict with a copy of the run, without its cache or training data; gives the answer and the table."""

    def run(metadata: Path | None = None, images: Path | None = None) -> tuple[Any, pl.DataFrame | None]:
        out = tmp_path / "predictions.csv"
        answer = cli(
            *("predict", "--run", run_copy, "--out", out),
            *("--metadata", metadata or cohort_dir / "test-metadata.csv"),
            *("--images", images or cohort_dir / "test-image.hdf5"),
            cache=tmp_path / "no cache",
        )
        return answer, pl.read_csv(out) if out.exists() else None

    return run


def test_predict_gives_the_submission_without_any_training_data(predict: Any, finished_run: Path, tmp_path: Path):
    answer, table = predict()
    assert answer.code == 0, answer
    assert table is not None
    submission = pl.read_csv(finished_run / "submission.csv")
    assert table.columns == ["isic_id", "malignant"]
    joined = table.join(submission, on="isic_id")
    assert joined.height == table.height == submission.height
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-12)
    assert not (tmp_path / "no cache").exists()


def test_a_patient_is_predicted_the_same_alone(predict: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    patient = test["patient_id"][0]
    test.filter(pl.col("patient_id") == patient)[::-1].write_csv(tmp_path / "one.csv")
    _, table = predict(metadata=tmp_path / "one.csv")
    joined = table.join(pl.read_csv(finished_run / "submission.csv"), on="isic_id")
    assert joined.height == (test["patient_id"] == patient).sum()
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-6)


def test_predict_names_a_missing_column_and_notes_an_unknown_one(predict: Any, cohort_dir: Path, tmp_path: Path):
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    test.drop("tbp_lv_areaMM2").write_csv(tmp_path / "less.csv")
    answer, table = predict(metadata=tmp_path / "less.csv")
    assert (answer.code, table) == (2, None)
    assert "tbp_lv_areaMM2 is missing" in answer.err
    test.with_columns(pl.lit("x").alias("shoe_size")).write_csv(tmp_path / "more.csv")
    answer, table = predict(metadata=tmp_path / "more.csv")
    assert answer.code == 0
    assert table is not None
    assert "shoe_size" in answer.out


def test_a_lesion_without_image_is_predicted_from_its_metadata(
    predict: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    import h5py

    images = shutil.copy(cohort_dir / "test-image.hdf5", tmp_path / "fewer.hdf5")
    with h5py.File(images, "r+") as file:
        gone = next(iter(file))
        del file[gone]
    answer, table = predict(images=images)
    assert answer.code == 0, answer
    assert gone in answer.out
    assert table is not None
    assert table["malignant"].is_finite().all()
    before = dict(pl.read_csv(finished_run / "submission.csv").iter_rows())
    after = dict(table.iter_rows())
    assert after[gone] != before[gone]
    patient = dict(
        pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)["isic_id", "patient_id"].iter_rows()
    )
    for lesion, probability in after.items():
        if patient[lesion] != patient[gone]:
            assert probability == pytest.approx(before[lesion], abs=1e-12)


def test_predict_refuses_what_is_no_run(cli: Any, tmp_path: Path, cohort_dir: Path):
    (tmp_path / "empty").mkdir()
    answer = cli(
        *("predict", "--run", tmp_path / "empty", "--out", tmp_path / "p.csv"),
        *("--metadata", cohort_dir / "test-metadata.csv", "--images", cohort_dir / "test-image.hdf5"),
    )
    assert answer.code == 2
    assert "not a run folder" in answer.err


@pytest.mark.parametrize(
    "gone", ["oof/wide/fold_1", "tabular/catboost/fold_2/seed_42", "tabular"], ids=["image model", "member", "blend"]
)
def test_predict_refuses_a_run_that_is_not_finished(predict: Any, run_copy: Path, gone: str):
    (run_copy / gone / "report.json").unlink()
    answer, table = predict()
    assert (answer.code, table) == (2, None)
    assert "is not finished" in answer.err
    assert gone in answer.err


def test_predict_refuses_models_of_another_recipe(predict: Any, run_copy: Path):
    """A run that was begun anew with other settings and stopped: the recipe is new, the models are old."""
    recorded = run_copy / "recipe.toml"
    recorded.write_text(recorded.read_text().replace("learning_rate = ", "learning_rate = 1", 1))
    answer, table = predict()
    assert (answer.code, table) == (2, None)
    assert "another recipe" in answer.err


def test_nested_image_columns(submit: Any, predict: Any, run_copy: Path, finished_run: Path):
    before = written(run_copy)
    submit(run_copy, "--set", "tabular.nested=true", "--replace")
    assert {path.name for path in (run_copy / "oof" / "narrow").glob("folds_*")} == {
        "folds_0_1",
        "folds_0_2",
        "folds_1_2",
    }
    after = written(run_copy)
    assert not {name for name in reports_changed(before, after) if "/fold_" in name and name.startswith("oof/")}
    usual, nested = (pl.read_parquet(run / "tabular" / "oof.parquet") for run in (finished_run, run_copy))
    assert usual["lightgbm_metadata"].equals(nested["lightgbm_metadata"])
    assert not usual.select("lightgbm", "catboost", "xgboost").equals(nested.select("lightgbm", "catboost", "xgboost"))
    answer, table = predict()
    assert answer.code == 0, answer
    submission = pl.read_csv(run_copy / "submission.csv")
    joined = table.join(submission, on="isic_id")
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-12)
