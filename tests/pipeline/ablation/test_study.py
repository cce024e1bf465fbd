"""The ablation study: what is taken away is away, what is the same is shared and never overwritten, rows are paired."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from data.scores.intervals import bootstrap
from data.scores.scores import pauc
from pipeline.ablation.rows import mean_of
from pipeline.ablation.scores import verdict
from pipeline.actions.opening import surroundings
from pipeline.inputs import Inputs
from pipeline.report.ablation import study_of, study_plot
from pipeline.run import Run

READING = re.compile(r"published order .*?, (.+?): (.+)")


@pytest.fixture(scope="session")
def figures(studied: Path) -> dict[str, Any]:
    return json.loads((studied / "ablation.json").read_text())


def test_all_rows_are_scored_with_intervals(figures: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in figures["rows"]}
    assert list(rows) == [
        "full", "image_only", "image_only.narrow", "image_only.wide", "without_voting.lightgbm_metadata",
        "without_voting.lightgbm", "without_voting.catboost", "without_voting.xgboost", "blended.logit_mean",
        "blended.rank_mean", "blended.weighted", "blended.stacker", "blended.rank_stacker", "blended.chosen",
        "metadata_advanced", "metadata_simple", "without_patient_features", "without_unexpected", "without_relabelled",
        "without_resampling", "without_tuning",
    ]  # fmt: skip
    assert rows["without_relabelled"]["absent"]
    assert "no parameters were searched" in rows["without_tuning"]["absent"]
    for name, row in rows.items():
        for part in ("cross_validated", "hidden_test") if not row["absent"] else ():
            score = row[part]["score"]
            assert 0.0 <= score["low"] <= score["estimate"] <= score["high"] <= 0.2
            difference = row[part]["difference"]
            assert (difference is None) == (name == "full")
            if difference:
                full = rows["full"][part]["score"]["estimate"]
                assert difference["estimate"] == pytest.approx(score["estimate"] - full, abs=1e-12)
                assert difference["low"] <= difference["estimate"] <= difference["high"]


def test_a_gain_is_tested_against_the_spread_of_the_folds(
    studied: Path, figures: dict[str, Any], cohort_dir: Path
) -> None:
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None).select("isic_id", "target")
    own, full = (
        pl.read_parquet(folder / "tabular" / "oof.parquet").join(table, left_on="lesion_id", right_on="isic_id")
        for folder in (studied / "ablation" / "metadata_advanced", studied)
    )
    leads = [
        pauc(*(part.filter(pl.col("fold") == fold)[name].to_numpy() for name in ("target", "blend")))
        for fold in range(3)
        for part in (own, full)
    ]
    found = next(row for row in figures["rows"] if row["name"] == "metadata_advanced")["cross_validated"]["told_apart"]
    differences = np.subtract(leads[::2], leads[1::2])
    assert found["mean"] == pytest.approx(differences.mean())
    t = abs(differences.mean()) / (differences.std(ddof=1) * np.sqrt(1 / 3 + 1 / 2))
    assert found["p"] == pytest.approx(2 * stats.t.sf(t, 2))
    assert figures["rows"][0]["cross_validated"]["told_apart"] is None


def test_the_soft_vote_of_images_is_scored_as_by_hand(studied: Path, figures: dict[str, Any], cohort_dir: Path) -> None:
    oof = pl.read_parquet(studied / "oof" / "oof.parquet")
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    joined = table.select("isic_id", "patient_id", "target").join(oof, left_on="isic_id", right_on="lesion_id")
    joined = joined.filter(pl.col("narrow").is_not_null() & pl.col("wide").is_not_null())
    probability = joined.select((pl.col("narrow") + pl.col("wide")) / 2).to_series().to_numpy()
    target, groups = joined["target"].to_numpy(), joined["patient_id"].to_numpy()
    row = next(row for row in figures["rows"] if row["name"] == "image_only")
    shown = row["cross_validated"]["score"]
    if len(joined) == len(table):
        assert shown["estimate"] == pytest.approx(pauc(target, probability), abs=1e-12)
        assert shown["low"] == pytest.approx(bootstrap(target, probability, groups, replicates=1000, seed=7).low)
    else:
        assert shown["estimate"] == pytest.approx(pauc(target, probability), abs=0.01)


def test_order_and_published_figures_are_said(studied: Path, figures: dict[str, Any]) -> None:
    said = (studied.parent / "said.txt").read_text()
    verdicts = READING.findall(said)
    assert [part for part, _ in verdicts] == ["cross-validated", "hidden demo test"]
    for part in ("cross_validated", "hidden_test"):
        leads = [step["lead"] for step in figures["order"][part]["steps"]]
        assert figures["order"][part]["verdict"] == verdict(leads)
    assert "0.17295" in said
    assert "other lesions" in said
    assert "not in this recipe" in said


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        ([(0.02, 0.01), (0.03, 0.005)], "holds"),
        ([(0.02, 0.01), (0.03, -0.001)], "leaning"),
        ([(0.02, 0.01), (-0.001, -0.02)], "does not hold"),
        ([(0.0, -0.01), (0.1, 0.05)], "does not hold"),
    ],
)
def test_verdicts(leads: list[tuple[float, float]], expected: str) -> None:
    assert verdict([{"estimate": at, "low": low, "high": 1.0} for at, low in leads]) == expected


def test_nothing_that_did_not_change_was_made_again(studied: Path) -> None:
    for variant in ("metadata_advanced", "without_resampling", "without_patient_features"):
        folder = studied / "ablation" / variant
        for model in folder.glob("oof/*/fold_*/model.safetensors"):
            assert model.samefile(studied / model.relative_to(folder))
        assert not list(folder.glob("oof/*/fold_*/last*"))
    same = "tabular/lightgbm_metadata/fold_0/seed_42/report.json"
    assert (studied / same).samefile(studied / "ablation" / "metadata_advanced" / same)
    refitted = "tabular/xgboost/fold_0/seed_42/report.json"
    assert not (studied / refitted).samefile(studied / "ablation" / "metadata_advanced" / refitted)


def test_the_run_itself_is_left_as_it_was(studied: Path, finished_run: Path) -> None:
    for path in finished_run.rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert (studied / path.relative_to(finished_run)).read_bytes() == path.read_bytes(), path


def test_a_second_study_makes_nothing_and_says_the_same(studied: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = shutil.copytree(studied, tmp_path / "tiny")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.parquet")}
    answer = cli("ablation", "--run", run, "--only", "metadata_simple", "--only", "image_only")
    assert answer.code == 0, answer.err
    assert "9 of 9 boosters were there already" in answer.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.parquet")} == before
    fewer = json.loads((run / "ablation.json").read_text())
    all_rows = {row["name"]: row for row in json.loads((studied / "ablation.json").read_text())["rows"]}
    assert [row["name"] for row in fewer["rows"]] == [
        "full", "image_only", "image_only.narrow", "image_only.wide", "metadata_simple",
    ]  # fmt: skip
    assert all(row == all_rows[row["name"]] for row in fewer["rows"])


def test_an_unknown_row_is_refused(run_copy: Path, cli: Callable[..., Any]) -> None:
    answer = cli("ablation", "--run", run_copy, "--only", "metadata")
    assert answer.code == 2
    assert "--only metadata: there is no such row; there are image_only" in answer.err


def test_a_lesion_is_voted_on_by_the_models_that_know_it() -> None:
    nan = float("nan")
    columns = {"a": np.array([0.2, nan, nan, 0.5]), "b": np.array([0.4, 0.6, nan, 0.7])}
    np.testing.assert_allclose(mean_of(columns, ["a", "b"]), [0.3, 0.6, nan, 0.6])
    classes = {"a:x": np.array([0.2]), "a:y": np.array([0.8]), "b:x": np.array([0.4]), "b:y": np.array([0.6])}
    np.testing.assert_allclose(mean_of(classes, ["a", "b"]), [[0.3, 0.7]])


def test_the_report_shows_a_study_of_this_run_and_of_no_other(
    studied: Path, tmp_path: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    run = Run.open(shutil.copytree(studied, tmp_path / "tiny"))
    study = study_of(run)
    assert study is not None
    drawn = study_plot(study, Inputs(run, surroundings()).data.train.task.words)
    assert len(drawn.y.ticks) == 17  # all but full and the two rows that this recipe does not have
    path = run.folder / "ablation.json"
    path.write_text(json.dumps({**study, "of": "other columns"}))
    assert study_of(run) is None
    path.write_text("{ damaged")
    assert study_of(run) is None
