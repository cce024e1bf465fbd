"""`fusionnetx explain` on finished runs: its figures against the run's own, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from pipeline.decision import decision_of
from pipeline.explain.overlay import SIDE_PX, colours, overlay
from pipeline.run import Run
from tests.pipeline.test_report_classes import seven_classes  # noqa: F401 - the fixture

FUSED = {"columns": ["age_approx", "sex"], "widths": [8]}
COMMON = {"pretrained": "none", "image_size": 32, "hidden": 4, "epochs": 1, "learning_rate": 3e-3, "precision": "fp32"}


def sheet(folder: Path, lesion: str) -> tuple[dict[str, Any], str]:
    return json.loads((folder / f"{lesion}.json").read_text()), (folder / f"{lesion}.html").read_text()


def check_words(figures: dict[str, Any], text: str) -> None:
    """Every sentence of a sheet against the sheet's numbers."""
    words = " ".join(figures["said_in_words"])
    for line in figures["said_in_words"]:
        assert line.replace("'", "&#39;") in text
    assert f"gives malignant a calibrated probability of {figures['probability']:.3g}" in words
    assert f"number {figures['place']} of {figures['patient_lesions']} of patient {figures['patient']}" in words
    left, flagged = figures["findings"]["left"], figures["findings"]["flagged_at"]
    assert ("so the answer is uncertain" in words) == (len(left) != 1)
    assert (f"threshold for {flagged} sensitivity" if flagged else "below every stored threshold") in words
    strongest = max(figures["boosters"]["features"], key=lambda one: one["contribution"])
    assert f"({strongest['feature']}, {strongest['contribution']:+.2f} log-odds)" in words
    assert ("helped to set these limits" in words) == (figures["kind"] == "training")


def check_measurements(figures: dict[str, Any], table: pl.DataFrame) -> None:
    """Those named lie furthest from the patient's other lesions, by numpy from the published table."""
    own = table.filter(isic_id=figures["lesion"]).row(0, named=True)
    others = table.filter(pl.col("patient_id") == own["patient_id"], pl.col("isic_id") != own["isic_id"])
    distances = {}
    for name in [one for one in table.columns if table[one].dtype.is_numeric()]:
        values = others[name].drop_nulls().to_numpy()
        if own[name] is not None and len(values) >= 5 and values.std(ddof=1) > 0:
            distances[name] = (own[name] - values.mean()) / values.std(ddof=1)
    found = {one["column"]: one["distance"] for one in figures["findings"]["measurements"]}
    expected = sorted((name for name in distances if abs(distances[name]) >= 2), key=lambda name: -abs(distances[name]))
    assert list(found) == [name for name in expected if name in found]
    words = " ".join(figures["said_in_words"])
    for name, distance in found.items():
        assert distance == pytest.approx(distances[name], rel=1e-4)
        assert f"({name}) is {'high' if distance > 0 else 'low'} for the patient" in words
    assert bool(found) or not [name for name in expected if name.startswith("tbp_lv_")]


def test_a_training_and_a_test_lesion_of_an_image_run(cli, finished_run, cohort_dir, tmp_path):
    oof = pl.read_parquet(finished_run / "tabular" / "oof.parquet").sort("blend", descending=True)
    submission = pl.read_csv(finished_run / "submission.csv")
    row, other = oof.row(0, named=True), submission.row(3, named=True)
    out = tmp_path / "sheets"
    ids = ["--lesion", row["lesion_id"], "--lesion", other["isic_id"]]
    answer = cli("explain", "--run", finished_run, *ids, "--out", out)
    assert answer.code == 0, answer
    figures, text = sheet(out, row["lesion_id"])
    assert (figures["kind"], figures["folds"]) == ("training", [row["fold"]])
    for name in ("lightgbm_metadata", "lightgbm", "catboost", "xgboost", "blend"):
        assert figures["said"][name] == pytest.approx(row[name])
    # Of a training lesion, the probability that was said without its fold.
    kept = pl.read_parquet(finished_run / "tabular/calibration/calibrated.parquet").filter(lesion_id=row["lesion_id"])
    assert figures["probability"] == pytest.approx(kept["blend"][0])
    assert figures["probability"] != figures["blend"]
    # The networks asked are those whose out-of-fold answers are stored.
    images = pl.read_parquet(finished_run / "oof" / "oof.parquet").filter(lesion_id=row["lesion_id"]).row(0, named=True)
    for one in figures["networks"]:
        assert 1 / (1 + np.exp(-one["score"])) == pytest.approx(images[one["model"]], abs=1e-5)
        assert (out / f"{row['lesion_id']}_{one['model']}.png").is_file()
    boosters = figures["boosters"]
    shown = sum(push["contribution"] for push in boosters["features"]) + boosters["others"]["contribution"]
    assert boosters["base"] + shown == pytest.approx(boosters["total"])
    assert len(boosters["features"]) == 10
    assert figures["place"] == 1
    assert [one["blend"] for one in figures["others"]] == sorted((o["blend"] for o in figures["others"]), reverse=True)
    assert text.count("data:image/png;base64,") >= 3
    assert "http" not in text.replace("http://www.w3.org", "")
    check_words(figures, text)
    figures, text = sheet(out, other["isic_id"])
    check_words(figures, text)
    check_measurements(figures, pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema_length=None))
    assert (figures["kind"], figures["folds"], figures["truth"]) == ("test", [0, 1, 2], None)
    assert figures["blend"] == pytest.approx(other["target"], abs=1e-9)
    worth = decision_of(Run.open(finished_run)).calibrator.apply(np.array([other["target"]]))[0]
    assert figures["probability"] == pytest.approx(worth, abs=1e-9)


def test_networks_with_metadata_beside_or_without_images(cli, variant, tmp_path, cohort_dir):
    def change(raw: dict[str, Any]) -> None:
        raw["image_models"] = [
            {"name": "fused", "backbone": "lesion_vit", "metadata": FUSED, **COMMON},
            {"name": "alone", "backbone": "none", "metadata": FUSED, **COMMON},
        ]
        raw["tabular"]["members"] = [one for one in raw["tabular"]["members"] if one["name"] == "lightgbm"]

    run = tmp_path / "run"
    assert cli("submission", "--recipe", variant(change), "--run", run).code == 0
    lesion = pl.read_parquet(run / "oof" / "oof.parquet")["lesion_id"][5]
    answer = cli("explain", "--run", run, "--lesion", lesion, "--class", "benign")
    assert answer.code == 0, answer
    figures, text = sheet(run / "explain", lesion)
    assert figures["explained_class"] == "benign"
    fused, alone = figures["networks"]
    assert fused["places"] == [[4, 4]]
    assert alone["places"] == []
    for one in (fused, alone):
        metadata = one["metadata"]
        assert {entry["column"] for entry in metadata["columns"]} == {"age_approx", "sex"}
        assert metadata["columns"][0]["relevance"] == pytest.approx(1)
        assert sum(entry["attribution"] for entry in metadata["columns"]) == pytest.approx(metadata["sum"])
        assert metadata["sum"] - metadata["moved"] == pytest.approx(metadata["error"], abs=1e-9)
    assert "Integrated gradients" in text
    malignant = cli("explain", "--run", run, "--lesion", lesion, "--model", "alone", "--out", tmp_path / "other")
    assert malignant.code == 0, malignant
    figures, text = sheet(tmp_path / "other", lesion)
    assert figures["networks"][0]["score"] == pytest.approx(-alone["score"])
    assert "No network here sees images" in text

    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema_length=None)
    new = ["--metadata", cohort_dir / "test-metadata.csv", "--images", cohort_dir / "test-image.hdf5"]
    answer = cli("explain", "--run", run, "--lesion", table["isic_id"][0], *new, "--out", tmp_path / "new")
    assert answer.code == 0, answer
    figures, text = sheet(tmp_path / "new", table["isic_id"][0])
    assert (figures["models_invented"], figures["lesion_invented"]) == (True, True)
    assert "The models were trained on invented lesions" in text
    assert "This lesion is invented, too" in text
    elsewhere = shutil.copy(cohort_dir / "test-metadata.csv", tmp_path / "photographed.csv")
    new = ["--metadata", elsewhere, "--images", cohort_dir / "test-image.hdf5"]
    answer = cli("explain", "--run", run, "--lesion", table["isic_id"][0], *new, "--out", tmp_path / "real")
    assert answer.code == 0, answer
    _, text = sheet(tmp_path / "real", table["isic_id"][0])
    assert "This lesion is not one of them" in text
    submitted = pl.read_csv(run / "submission.csv").filter(isic_id=table["isic_id"][0])["target"][0]
    assert figures["kind"] == "new"
    assert figures["blend"] == pytest.approx(submitted, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lesion", "ISIC_x"], "nearest: ISIC_"),
        (["--model", "deep"], "the run has no image model 'deep'; it has narrow, wide"),
        (["--class", "nevus"], "there is no class 'nevus'; the run knows benign, malignant"),
        (["--images", "x"], "--images without --metadata"),
    ],
)
def test_what_is_refused(cli, finished_run, tmp_path, options, message):
    lesion = pl.read_parquet(finished_run / "oof" / "oof.parquet")["lesion_id"][0]
    named = [] if "--lesion" in options else ["--lesion", lesion]
    answer = cli("explain", "--run", finished_run, *named, *options, "--out", tmp_path / "sheets")
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "sheets").exists()


def test_an_unfinished_run_and_a_lesion_without_an_image_are_refused(cli, run_copy, monkeypatch):
    lesion = pl.read_parquet(run_copy / "oof" / "oof.parquet")["lesion_id"][0]
    from data.errors import DataError
    from data.images.sources import Hdf5Images

    def absent(self: Hdf5Images, lesion_id: str) -> bytes:
        raise DataError(f"{self.path.name} has no image of {lesion_id}")

    with monkeypatch.context() as patch:
        patch.setattr(Hdf5Images, "read", absent)
        answer = cli("explain", "--run", run_copy, "--lesion", lesion)
        assert answer.code == 2
        assert f"lesion {lesion} has no image" in answer.err
        assert "narrow and wide" in answer.err
    (run_copy / "oof" / "wide" / "fold_1" / "model.safetensors").unlink()
    answer = cli("explain", "--run", run_copy, "--lesion", lesion)
    assert answer.code == 2
    assert "is not finished" in answer.err


def test_colours_rise_evenly_in_lightness_and_lie_where_the_heat_is():
    ramp = colours(np.linspace(0, 1, 64)[None])
    lightness = cv2.cvtColor(ramp.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0, :, 0]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert steps.max() < 2.5 * steps.mean()
    heat = np.zeros((8, 8))
    heat[1, 6] = 1
    shown = overlay(np.full((64, 64, 3), 128, np.uint8), heat)
    assert shown.shape == (SIDE_PX, SIDE_PX, 3)
    row, column = np.unravel_index(shown.astype(int).sum(axis=2).argmax(), shown.shape[:2])
    assert (row * 8 // SIDE_PX, column * 8 // SIDE_PX) == (1, 6)


def test_of_several_classes_the_most_probable_is_explained_or_the_one_named(cli, seven_classes, tmp_path):  # noqa: F811
    run = seven_classes / "run"
    first = pl.read_parquet(run / "tabular" / "oof.parquet").row(0, named=True)
    blend = {name.removeprefix("blend:"): value for name, value in first.items() if name.startswith("blend:")}
    ask = ["explain", "--run", run, "--data", seven_classes / "ham", "--lesion", first["lesion_id"], "--out", tmp_path]
    for named in (None, min(blend, key=lambda name: blend[name])):
        answer = cli(*ask, *(["--class", named] if named else []), cache=seven_classes / "cache")
        assert answer.code == 0, answer
        figures, _ = sheet(tmp_path, first["lesion_id"])
        assert figures["explained_class"] == (named or max(blend, key=lambda name: blend[name]))
        assert figures["blend"] == pytest.approx(blend[figures["explained_class"]])
