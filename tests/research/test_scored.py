"""Scores of the comparison are those of scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from data.cohort import Cohort
from research.systems.page import html_page
from research.systems.scored import Scored
from tests.research.conftest import Place


def test_figures_are_those_of_scikit_learn(place: Place, tmp_path: Path) -> None:
    cohort = place("ham10000", tmp_path).data.train
    rng = np.random.default_rng(4)
    rows = np.concatenate([np.arange(len(cohort.ids)), rng.integers(len(cohort.ids), size=30)])
    probability = rng.dirichlet(np.ones(7), size=len(rows)) + 0.3 * np.eye(7)[cohort.target[rows]]
    probability /= probability.sum(axis=1, keepdims=True)
    target, called = cohort.target[rows], probability.argmax(axis=1)
    expected = {
        "accuracy": accuracy_score(target, called),
        "balanced_accuracy": balanced_accuracy_score(target, called),
        "auc": roc_auc_score(target, probability, multi_class="ovr", average="macro"),
        "average_precision": average_precision_score(np.eye(7)[target], probability, average="macro"),
        "precision": precision_score(target, called, average="macro", zero_division=0),
        "recall": recall_score(target, called, average="macro"),
        "f1": f1_score(target, called, average="macro"),
    }
    check_figures(cohort, rows, probability, expected)


def test_figures_of_two_classes_are_those_of_the_positive_one(place: Place, tmp_path: Path) -> None:
    cohort = place("ham10000_binary", tmp_path).data.train
    rng, rows = np.random.default_rng(4), np.arange(len(cohort.ids))
    target = cohort.target
    probability = np.clip(rng.random(len(rows)) + 0.3 * (target - 0.5), 0, 1)
    called = probability >= 0.5
    expected = {
        "accuracy": accuracy_score(target, called),
        "balanced_accuracy": balanced_accuracy_score(target, called),
        "auc": roc_auc_score(target, probability),
        "average_precision": average_precision_score(target, probability),
        "precision": precision_score(target, called),
        "recall": recall_score(target, called),
        "f1": f1_score(target, called),
    }
    check_figures(cohort, rows, probability[:, None], expected)
    nothing = Scored(rows, np.zeros((len(rows), 1)), 0.0, 0.0, {}, "").figures(cohort, replicates=5, seed=5)["scores"]
    assert nothing["precision"] == nothing["recall"] == {"estimate": 0.0}


def check_figures(cohort: Cohort, rows: np.ndarray, probability: np.ndarray, expected: dict[str, float]) -> None:
    found = Scored(rows, probability, 0.0, 0.0, {}, "").figures(cohort, replicates=60, seed=5)
    assert {name: one["estimate"] for name, one in found["scores"].items()} == pytest.approx(expected)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        assert found["scores"][name]["low"] < expected[name] < found["scores"][name]["high"]
    check_classes(cohort, rows, probability, found)


def check_classes(cohort: Cohort, rows: np.ndarray, probability: np.ndarray, found: dict[str, Any]) -> None:
    target = cohort.target[rows]
    by_class = np.hstack([1 - probability, probability]) if probability.shape[1] == 1 else probability
    assert found["confusion"] == confusion_matrix(target, by_class.argmax(axis=1)).tolist()
    for code, one in enumerate(found["classes"]):
        assert one["name"] == cohort.task.classes[code]
        assert one["auc"] == pytest.approx(roc_auc_score(target == code, by_class[:, code]))
        assert np.trapezoid(one["roc"]["sensitivity"], one["roc"]["false_positive_rate"]) == pytest.approx(
            one["auc"], abs=2e-3
        )
    frame = pl.DataFrame({"group": cohort.groups[rows], "y": target, "p": by_class[:, -1]})
    mean = frame.group_by("group").agg(pl.col("y").max(), pl.col("p").mean())
    ways = {row["way"]: row for row in found["together"]["rows"]}
    if len(found["classes"]) == 2:
        assert ways["mean of the lesions"]["auc"] == pytest.approx(roc_auc_score(mean["y"], mean["p"]))
    else:
        assert found["together"]["groups"] == len(mean)
    progress = [{"epoch": 1, "loss": 0.5, "inner_score": None, "learning_rate": 1e-3, "seconds": 2.0}]
    cost = {"parameters": 10, "megabytes": 1.0, "ms_per_image": 2.0, "seconds_per_epoch": 3.0}
    result = {**found, "progress": progress, "cost": cost, "system": "s5_image", "protocol": "sound",
              "published": {}, "published_on": ""}  # fmt: skip
    page = html_page({"results": [result], "data_set": "", "classes": len(found["classes"]), "fast": True,
                      "synthetic": True, "words": {"group": "lesion", "groups": "lesions"}})  # fmt: skip
    assert page.count("<svg") >= 7
    assert all(f"<td>{count}</td>" in page for row in found["confusion"] for count in row)
    assert "<td>0.5000</td><td>–</td>" in page
    assert "width=device-width" in page
    assert "bars: 95 % over lesions" in page
    assert "Cost in MB" in page
    assert all(isinstance(count, int) for row in found["confusion"] for count in row)
