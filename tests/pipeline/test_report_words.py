"""The page calls things what they are in this data set, and says which members cannot explain themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.page import page
from tests.pipeline.test_report import Reader, reported_run, without  # noqa: F401 - the run is a fixture


@pytest.fixture(scope="module")
def metrics(reported_run: Path) -> dict[str, Any]:  # noqa: F811
    return json.loads((reported_run / "metrics.json").read_text())


def test_the_score_and_the_groups_go_by_their_names(metrics: dict[str, Any]) -> None:
    words = {"row": "image", "rows": "images", "group": "lesion", "groups": "lesions"}
    other = without(metrics, words=words, resampled=False) | {"score": "auc", "best": 1.0, "chance": 0.5}
    text = page(other, {})
    Reader(text)
    groups = text.split('id="groups"')[1].split("</section>")[0]
    assert groups.split("</thead>")[0].count(">AUC</th>") == 1
    assert "over lesions" in text
    assert "resampled folds" not in text
    assert "Boosters train on folds with class weights" in page(without(other, resampled=False, weighted=True), {})
    assert "scored: above" not in text
    assert not any(
        word in text for word in ("over patients", ">Patients<", "same drawn patients", "of the same patient")
    )
    assert "scored: above 80 % sensitivity" in page(metrics, {})


@pytest.mark.parametrize("silent", [["catboost"], ["lightgbm_metadata", "lightgbm", "catboost", "xgboost"]])
def test_members_that_cannot_explain_themselves_are_named(metrics: dict[str, Any], silent: list[str]) -> None:
    less = without(metrics)
    boosters = less["report"]["boosters"]
    boosters |= {"without_shap": silent, "without_gain": silent}
    for row in boosters["families"]:
        row["gain"] |= dict.fromkeys(silent)
    if len(silent) == 4:
        boosters["features"] = []
    text = page(less, {})
    Reader(text)
    assert ("No attributions of catboost" in text) is (len(silent) == 1)
    assert ("there are no attributions" in text) is (len(silent) == 4)
    assert ("Features that push most" in text) is (len(silent) == 1)
