"""The whole pipeline at its smallest: what a finished run leaves behind."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

pytestmark = pytest.mark.slow


def pauc_by_scikit_learn(target: np.ndarray, probability: np.ndarray) -> float:
    partial = roc_auc_score(1 - target, -probability, max_fpr=0.2)
    return 0.02 + (partial - 0.5) / 0.5 * 0.18


def test_the_submission_has_every_test_lesion_once(finished_run: Path, cohort_dir: Path):
    submission = pl.read_csv(finished_run / "submission.csv")
    assert submission.columns == ["isic_id", "target"]
    assert submission["isic_id"].to_list() == pl.read_csv(cohort_dir / "sample_submission.csv")["isic_id"].to_list()
    assert submission["target"].is_finite().all()
    assert submission["target"].is_between(0, 1).all()
    assert submission["target"].n_unique() > 50


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("oof", ["narrow", "wide"]),
        ("tabular", ["lightgbm_metadata", "lightgbm", "catboost", "xgboost", "blend"]),
    ],
)
def test_every_lesion_is_predicted_once_by_a_fold_without_its_patient(
    finished_run: Path, cohort_dir: Path, table: str, columns: list[str]
):
    out_of_fold = pl.read_parquet(finished_run / table / "oof.parquet")
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    assert out_of_fold.columns == ["lesion_id", "fold", *columns]
    assert out_of_fold["lesion_id"].to_list() == train["isic_id"].to_list()
    assert out_of_fold["fold"].to_list() == pl.read_parquet(finished_run / "folds.parquet")["fold"].to_list()
    folds_of_patient = train.with_columns(out_of_fold["fold"]).group_by("patient_id").agg(pl.col("fold").n_unique())
    assert folds_of_patient["fold"].max() == 1
    for name in columns:
        assert out_of_fold[name].null_count() == 0
        assert out_of_fold[name].is_between(0, 1).all()


def test_the_metrics_are_those_of_the_tables(finished_run: Path, cohort_dir: Path):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    target = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)["target"].to_numpy()
    members = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    for name, figures in metrics["cross_validated"]["members"].items():
        expected = pauc_by_scikit_learn(target, members[name].to_numpy())
        assert figures["pauc"]["estimate"] == pytest.approx(expected, abs=1e-12)
        assert figures["pauc"]["low"] <= figures["pauc"]["estimate"] <= figures["pauc"]["high"]
        assert figures["auc"]["estimate"] == pytest.approx(roc_auc_score(target, members[name].to_numpy()), abs=1e-12)
    answers = pl.read_csv(cohort_dir / "test-answers.csv")
    submission = pl.read_csv(finished_run / "submission.csv").join(answers, on="isic_id", suffix="_true")
    for part in ("public", "private"):
        rows = submission.filter(pl.col("split") == part)
        expected = pauc_by_scikit_learn(rows["target_true"].to_numpy(), rows["target"].to_numpy())
        assert metrics["test"][part]["blend"]["pauc"]["estimate"] == pytest.approx(expected, abs=1e-12)
    assert metrics["synthetic"] is True


def test_the_blend_is_the_mean_of_the_members(finished_run: Path):
    members = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    mean = members.select("lightgbm_metadata", "lightgbm", "catboost", "xgboost").to_numpy().mean(axis=1)
    np.testing.assert_allclose(members["blend"].to_numpy(), mean, rtol=0, atol=1e-15)


def test_what_it_said(finished_run: Path):
    said = (finished_run.parent / "said.txt").read_text()
    for words in ("cross-validated pauc 0.", "demo leaderboard, private: pauc 0.", "synthetic", "submission.csv"):
        assert words in said
