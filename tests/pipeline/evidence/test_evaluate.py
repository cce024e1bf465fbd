"""Other labelled data: frozen models, the same figures as by hand, pictures alone, and plain refusals."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from pipeline.report.page import NOTHING
from tests.pipeline.test_report import Reader, resolve


def labelled_test(cohort_dir: Path) -> pl.DataFrame:
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema_length=None)
    return table.join(pl.read_csv(cohort_dir / "test-answers.csv").drop("split"), on="isic_id")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, cohort_dir: Path) -> Path:
    """The hidden test part with its answers as a folder of training files: a clinic that the run has never seen."""
    folder = tmp_path_factory.mktemp("data") / "clinic"
    folder.mkdir()
    labelled = labelled_test(cohort_dir)
    header = pl.read_csv(cohort_dir / "train-metadata.csv", n_rows=1).columns
    known = [name for name in header if name in labelled.columns]
    empty = [name for name in header if name not in labelled.columns]
    labelled.select(*known, *(pl.lit(None, dtype=pl.String).alias(name) for name in empty)).select(header).write_csv(
        folder / "train-metadata.csv"
    )
    shutil.copyfile(cohort_dir / "test-image.hdf5", folder / "train-image.hdf5")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, cohort_dir: Path) -> Path:
    """JPEG files and a table of names and HAM10000's codes, nothing else."""
    folder = tmp_path_factory.mktemp("pictures") / "photos"
    folder.mkdir()
    labelled = labelled_test(cohort_dir).head(60)
    with h5py.File(cohort_dir / "test-image.hdf5") as file:
        for name in labelled["isic_id"]:
            (folder / f"{name}.jpg").write_bytes(bytes(file[name][()]))
    with (folder / "labels.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["image_id", "dx"])
        for place, (name, target) in enumerate(labelled.select("isic_id", "target").iter_rows()):
            rows.writerow([name, ("mel", "bcc", "akiec")[place % 3] if target else ("nv", "bkl", "df")[place % 3]])
    return folder


def test_a_clinic_in_the_runs_own_form_is_scored_as_by_hand(
    run_copy: Path, clinic: Path, cohort_dir: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    before = {path: path.read_bytes() for path in run_copy.rglob("model.safetensors")}
    answer = cli("evaluate", "--run", run_copy, "--data", clinic)
    assert answer.code == 0, answer.err
    figures = json.loads((run_copy / "evidence.json").read_text())
    (one,) = figures["evaluations"]
    assert one["name"] == "clinic"
    assert all(path.read_bytes() == held for path, held in before.items())

    out = tmp_path / "said.csv"
    said = cli(
        "predict", "--run", run_copy, "--metadata", cohort_dir / "test-metadata.csv", "--images",
        cohort_dir / "test-image.hdf5", "--out", out,
    )  # fmt: skip
    assert said.code == 0, said.err
    joined = labelled_test(cohort_dir).join(pl.read_csv(out), on="isic_id")
    target = joined["target"].to_numpy()
    assert one["scores"]["auc"]["estimate"] == pytest.approx(roc_auc_score(target, joined["score"].to_numpy()))
    # predict rounds probabilities to four digits
    by_hand = brier_score_loss(target, joined["probability"].to_numpy())
    assert one["calibration"]["calibrated"]["brier"]["estimate"] == pytest.approx(by_hand, abs=1e-4)
    own = json.loads((run_copy / "tabular" / "report.json").read_text())["scores"]["blend"]
    assert one["own"]["auc"] == own["auc"]
    assert {"site", "age", "sex", "size"} <= {division["name"] for division in one["groups"]}
    assert sum(group["lesions"] for group in one["groups"][0]["groups"]) == len(joined)
    assert {column["name"] for column in one["columns"]} >= {"narrow", "wide", "catboost", "blend"}

    reader = Reader((run_copy / "evidence.html").read_text())
    assert len(reader.figures) > 100
    for pointer, spec, text in reader.figures:
        value = resolve(figures, pointer)
        assert text == (NOTHING if value is None else format(value, spec)), pointer


def test_pictures_alone_are_enough(run_copy: Path, photos: Path, cli: Callable[..., Any]) -> None:
    answer = cli("evaluate", "--run", run_copy, "--data", photos)
    assert answer.code == 0, answer.err
    (one,) = json.loads((run_copy / "evidence.json").read_text())["evaluations"]
    labels = pl.read_csv(photos / "labels.csv")
    assert one["sample"]["lesions"] == one["sample"]["patients"] == len(labels)
    assert one["sample"]["positives"] == int(labels["dx"].is_in(["mel", "bcc", "akiec"]).sum())
    missing = {gap["column"]: gap["missing_share"] for gap in one["missing"]}
    assert missing["age_approx"] == missing["tbp_lv_A"] == missing["sex"] == 1.0
    assert one["without_image"] == 0
    assert one["groups"] == []
    narrow = next(column for column in one["columns"] if column["name"] == "narrow")
    assert np.isfinite(narrow["scores"]["auc"]["estimate"])
    again = cli("evaluate", "--run", run_copy, "--data", photos, "--positive", "mel", "--name", "melanoma")
    assert again.code == 0, again.err
    both = json.loads((run_copy / "evidence.json").read_text())["evaluations"]
    assert [one["name"] for one in both] == ["photos", "melanoma"]
    assert both[1]["sample"]["positives"] == int((labels["dx"] == "mel").sum())


def test_mistakes_are_named(run_copy: Path, photos: Path, cohort_dir: Path, cli: Callable[..., Any]) -> None:
    def refused(*more: Any, data: Path = photos) -> str:
        answer = cli("evaluate", "--run", run_copy, "--data", data, *more)
        assert answer.code == 2, answer
        return str(answer.err)

    assert "give THEIRS=OURS" in refused("--map", "age")
    assert "--map size: there is no such column" in refused("--map", "size=age_approx")
    assert "choose one" in refused("--labels", "labels.csv", "--recipe", "demo")
    assert "is no folder" in refused(data=photos / "none")
    assert "are among those that" in refused(data=cohort_dir)
    text = (photos / "labels.csv").read_text()
    try:
        (photos / "labels.csv").write_text(text.replace(",nv", ",naevus"))
        assert "which class of this run (benign, malignant) naevus is" in refused()
        (photos / "labels.csv").write_text(text.replace("dx", "finding"))
        assert "no column holds the answers" in refused()
    finally:
        (photos / "labels.csv").write_text(text)
    assert not (run_copy / "evidence.json").exists()
