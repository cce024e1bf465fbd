"""The words of a sheet: each clause follows its number, whatever the number is."""

import copy
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.scores.conformal import SetRule
from features.table import Feature, FeatureTable
from pipeline.explain.findings import left_over, look, standing_out
from pipeline.explain.words import place, sentences

FIGURES: dict[str, Any] = {
    "words": {"row": "lesion", "rows": "lesions", "group": "patient", "groups": "patients"},
    "explained_class": "malignant",
    "probability": 0.01234,
    "patient": "P1",
    "patient_lesions": 9,
    "place": 2,
    "kind": "new",
    "boosters": {
        "features": [
            {"feature": "h", "meaning": "hue", "contribution": 0.4},
            {"feature": "a", "meaning": "area", "contribution": -0.9},
        ]
    },
    "findings": {
        "measurements": [
            {"column": "d", "meaning": "diameter", "unit": "mm", "value": 7.25, "mean_of_others": 3.0, "distance": 2.51}
        ],
        "measured_beside": 8,
        "fewest_beside": 5,
        "looks": [{"model": "net", "x": 0.3, "y": 0.5, "middle": 0.61}],
        "flagged_at": "90 %",
        "thresholds": [0.8, 0.9],
        "level": 0.9,
        "left": ["malignant"],
        "notes": "",
    },
}


def said(**findings: Any) -> str:
    figures = copy.deepcopy(FIGURES)
    figures["findings"] |= findings
    return "\n".join(sentences(figures))


def test_the_whole_text():
    assert sentences(FIGURES) == [
        "The run gives malignant a calibrated probability of 0.0123; by score this is number 2 of 9 of patient P1.",
        "It is flagged at the threshold for 90 % sensitivity; at 90% only malignant cannot be ruled out.",
        "Diameter (d) is high for the patient: 7.25 mm, 2.5 standard deviations above the mean of the others, 3.",
        "net looks towards the left: 61% of its heat lies in the middle half of the image "
        "(spread evenly it would be 25%).",
        "What pushed the boosters most: for it hue (h, +0.40 log-odds); against it area (a, -0.90 log-odds).",
        "No measurement is missing, and none is outside what training had.",
    ]


def test_clauses_follow_their_numbers():
    low = [{**FIGURES["findings"]["measurements"][0], "distance": -3.0}]
    assert "is low for the patient: 7.25 mm, 3.0 standard deviations below" in said(measurements=low)
    assert "No measurement stands out among the 8 other lesions" in said(measurements=[])
    assert "has too few other lesions here (4)" in said(measurements=[], measured_beside=4)
    assert "It is below every stored threshold" in said(flagged_at=None)
    assert "threshold" not in said(flagged_at=None, thresholds=[])
    assert "no class fits it, so the answer is uncertain" in said(left=[])
    assert "none of benign, malignant can be ruled out, so the answer is uncertain" in said(
        left=["benign", "malignant"]
    )
    assert "Missing or new: missing: age." in said(notes="missing: age")
    assert "of the image" not in said(looks=[])
    alone = {**copy.deepcopy(FIGURES), "patient_lesions": 1}
    assert "the only lesion of patient P1" in sentences(alone)[0]
    assert "gives malignant no probability; by score" in sentences({**FIGURES, "probability": None})[0]
    assert "this lesion helped to set these limits" not in said()
    assert sentences({**FIGURES, "kind": "training"})[1].endswith("; this lesion helped to set these limits.")
    bare = [{**FIGURES["findings"]["measurements"][0], "unit": "", "meaning": "contrast in L of CIELAB"}]
    assert "Contrast in L of CIELAB (d) is high for the patient: 7.25, 2.5" in said(measurements=bare)
    for features, words in (
        (FIGURES["boosters"]["features"][:1], "most: for it hue (h, +0.40 log-odds)."),
        (FIGURES["boosters"]["features"][1:], "most: against it area (a, -0.90 log-odds)."),
        ([], ""),
    ):
        text = "\n".join(sentences({**FIGURES, "boosters": {"features": features}}))
        assert words in text
        assert ("pushed the boosters" in text) == bool(features)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (0.5, 0.5, "around the middle"),
        (0.2, 0.2, "towards the upper left"),
        (0.5, 0.9, "towards the lower half"),
        (0.7, 0.45, "towards the right"),
    ],
)
def test_places(x: float, y: float, words: str):
    assert place(x, y) == words


def test_where_heat_lies():
    even = look(np.ones((7, 7)))
    assert even == pytest.approx({"x": 0.5, "y": 0.5, "middle": 0.25})
    corner = np.zeros((4, 4))
    corner[0, 3] = 2.0
    assert look(corner) == pytest.approx({"x": 0.875, "y": 0.125, "middle": 0.0})
    inner = np.zeros((4, 4))
    inner[1:3, 1:3] = 1.0
    assert look(inner)["middle"] == pytest.approx(1.0)


def test_measurements_are_compared_with_the_others_alone():
    features = (Feature("d", "published", "diameter", "mm"), Feature("s", "published", "site", kind="category"))
    values = [1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 9.0]
    table = FeatureTable(pl.DataFrame({"lesion_id": list("abcdefg"), "d": values, "s": ["x"] * 7}), features)
    rows = np.arange(7)
    [found] = standing_out(table, ["d", "s", "gone"], rows, 6)
    assert found["distance"] == pytest.approx((9 - np.mean(values[:6])) / np.std(values[:6], ddof=1))
    assert (found["meaning"], found["unit"], found["value"]) == ("diameter", "mm", 9.0)
    assert standing_out(table, ["d"], rows, 1) == []
    assert standing_out(table, ["d"], np.array([2, 3, 4, 6]), 6) == [], "three others say little"


def test_what_is_left():
    assert left_over(SetRule(0.9, (0.5, 0.3)), np.array([0.9]), ("benign", "malignant")) == ["malignant"]
    assert left_over(SetRule(0.9, (0.9, 0.9)), np.array([0.5]), ("benign", "malignant")) == []
