"""Scores by group: every lesion in one group of each division, small groups without a figure."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from data.cohort import Cohort, Task
from pipeline.report.contribution import correlation, leave_one_out
from pipeline.report.decision import coverage_figures, group_figures
from pipeline.report.finished import FinishedRun
from pipeline.report.groups import MIN_POSITIVES, bands, by_group, quarters
from tabular.recipe import BlendRecipe


@pytest.fixture(scope="module")
def run() -> FinishedRun:
    rng = np.random.default_rng(2)
    n = 1200
    target = (rng.random(n) < 0.1).astype(np.int64)
    table = pl.DataFrame(
        {
            "isic_id": [f"ISIC_{i}" for i in range(n)],
            "patient_id": [f"IP_{i % 60}" for i in range(n)],
            "target": target,
            "age_approx": [None if i % 50 == 0 else float(30 + 5 * (i % 11)) for i in range(n)],
            "sex": [("male", "female", None)[i % 3] for i in range(n)],
            "anatom_site_general": ["rare site" if i < 6 else "lower extremity" for i in range(n)],
            "tbp_lv_Lext": rng.normal(60, 8, n),
        }
    )
    cohort = Cohort(table, Task("isic_id", "patient_id", "target"), labelled=True)
    recipe = SimpleNamespace(seed=1, tabular=SimpleNamespace(blend=BlendRecipe()))
    inputs: Any = SimpleNamespace(
        data=SimpleNamespace(train=cohort),
        folds=SimpleNamespace(count=3, fold=np.arange(n) % 60 % 3),
        run=SimpleNamespace(recipe=recipe),
    )
    nothing: Any = None
    useful = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * target)))
    noise = rng.random(n)
    members = {"useful": useful, "noise": noise, "twin": np.clip(useful**2, 0, 1)}
    blend = np.mean(list(members.values()), axis=0)
    images = {"network": np.where(np.arange(n) % 9 == 0, np.nan, useful)}
    return FinishedRun(inputs, nothing, nothing, images, members, blend)


def test_divisions_hold_every_lesion_once(run: FinishedRun) -> None:
    divisions = by_group(run)
    assert [one["name"] for one in divisions] == ["fold", "site", "age", "sex", "skin_tone"]
    for division in divisions:
        assert sum(group["lesions"] for group in division["groups"]) == 1200
        assert sum(group["positives"] for group in division["groups"]) == run.target.sum()
    assert [group["label"] for group in divisions[3]["groups"]][-1] == "not given"


def test_small_groups_have_counts_but_no_score(run: FinishedRun) -> None:
    site = next(one for one in by_group(run) if one["name"] == "site")
    rare = next(group for group in site["groups"] if group["label"] == "rare site")
    assert rare["lesions"] == 6
    assert rare["too_few"]
    assert rare["pauc"] is None
    assert rare["auc"] is None
    assert rare["positives"] < MIN_POSITIVES


def test_group_figures_are_those_of_its_lesions(run: FinishedRun) -> None:
    sex = next(one for one in by_group(run) if one["name"] == "sex")
    male = next(group for group in sex["groups"] if group["label"] == "male")
    rows = np.flatnonzero(run.table["sex"].to_numpy() == "male")
    assert male["auc"]["estimate"] == pytest.approx(roc_auc_score(run.target[rows], run.blend[rows]))
    assert male["auc"]["low"] < male["auc"]["estimate"] < male["auc"]["high"]
    positives = np.sort(run.blend[run.target == 1])[::-1]
    threshold = positives[int(np.ceil(0.9 * len(positives) - 1e-9)) - 1]
    assert male["found"] == int((run.blend[rows][run.target[rows] == 1] >= threshold).sum())
    assert male["flagged_share"] == pytest.approx((run.blend[rows] >= threshold).mean())


def test_calibration_of_a_group_before_and_after(run: FinishedRun) -> None:
    rows = np.flatnonzero(run.table["sex"].to_numpy() == "male")
    found = group_figures(run, run.blend / 2, "male", rows)
    given, calibrated = found["probabilities"]
    assert (found["observed"], given["mean"]) == pytest.approx((run.target[rows].mean(), run.blend[rows].mean()))
    assert calibrated["mean"] == pytest.approx(given["mean"] / 2)
    for one, probability in ((given, run.blend[rows]), (calibrated, run.blend[rows] / 2)):
        assert one["brier"]["estimate"] == pytest.approx(brier_score_loss(run.target[rows], probability))
        for name in ("brier", "calibration_error", "slope", "intercept"):
            assert one[name]["low"] < one[name]["estimate"] < one[name]["high"]
    few = group_figures(run, run.blend, "few", rows[:20])
    assert not few["enough"]
    assert "brier" not in few["probabilities"][0]


def test_sets_of_a_group_are_counted_by_hand(run: FinishedRun) -> None:
    held = np.random.default_rng(1).random((1200, 2)) < 0.7
    rows = np.flatnonzero(run.table["sex"].to_numpy() == "male")
    found = coverage_figures(run, held, "male", rows)
    right = [held[row, run.target[row]] for row in rows]
    malignant = [held[row, 1] for row in rows if run.target[row] == 1]
    assert (found["right"], found["covered"][1]) == pytest.approx((np.mean(right), np.mean(malignant)))
    assert found["size"] == pytest.approx(np.mean([held[row].sum() for row in rows]))
    assert found["uncertain"] == pytest.approx(np.mean([held[row].sum() != 1 for row in rows]))
    assert coverage_figures(run, held, "nobody", rows[:0])["size"] is None


def test_bands_put_an_edge_into_the_band_above() -> None:
    labels, placed = bands(pl.Series([39.0, 40.0, None, 70.0]), (40.0, 55.0, 70.0), "")
    assert placed.tolist() == ["under 40", "40 to under 55", "not given", "70 and over"]
    assert labels == ["under 40", "40 to under 55", "55 to under 70", "70 and over", "not given"]


def test_quarters_hold_a_quarter_each() -> None:
    labels, placed = quarters(pl.Series(np.random.default_rng(0).normal(60, 9, 400)))
    assert [int((placed == label).sum()) for label in labels] == [100] * 4


def test_leaving_out_noise_helps_and_leaving_out_skill_hurts(run: FinishedRun) -> None:
    rows = {row["member"]: row["difference"]["estimate"] for row in leave_one_out(run)}
    assert rows["noise"] < 0 < rows["useful"]
    assert leave_one_out(replace(run, image_columns={}, member_columns={"one": run.blend})) == []


def test_correlation_is_of_the_lesions_that_all_columns_know(run: FinishedRun) -> None:
    from scipy.stats import spearmanr

    figures = correlation(run)
    known = np.isfinite(run.image_columns["network"])
    assert figures["lesions"] == known.sum()
    at = figures["columns"].index("noise"), figures["columns"].index("blend")
    expected = spearmanr(run.member_columns["noise"][known], run.blend[known]).statistic
    assert figures["spearman"][at[0]][at[1]] == pytest.approx(expected)
    assert figures["spearman"][0][1] == pytest.approx(1.0)
