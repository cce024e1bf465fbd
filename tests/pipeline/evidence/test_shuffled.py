"""Labels dealt to other patients give chance in every cell; labels that a column still tells do not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.schemas.ham10000 import SEVEN_CLASSES
from data.schemas.isic2024 import TASK
from pipeline.audit import null_test
from pipeline.audit.deal import deal
from pipeline.audit.null_test import Outcome, judged
from pipeline.evidence import shuffled
from pipeline.evidence.scores import metrics_of
from pipeline.evidence.shuffled import ALARM, DEALS


def test_the_whole_table_is_chance(run_copy: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The fewest deals that can raise an alarm in one of five scores, from a smaller pool.
    monkeypatch.setattr(shuffled, "DEALS", 499)
    monkeypatch.setattr(null_test, "POOL", 600)
    answer = cli("evidence", "--run", run_copy, "--shuffled")
    assert answer.code == 0, answer.err
    part = json.loads((run_copy / "evidence.json").read_text())["shuffled"]
    assert part["passed"]
    assert "every cell is chance" in answer.out
    assert [row["name"] for row in part["rows"]] == ["BWTP", "BWT", "BWP", "BW", "BTP", "BT", "WP", "W", "TP", "T"]
    for row in part["rows"]:
        for metric, cell in row["cells"].items():
            assert cell["is_chance"], (row["name"], metric)
    assert not (run_copy / "evidence" / "shuffled").exists()


@pytest.mark.parametrize("metric", ["pauc", "auc", "nnt_80", "nnt_90", "se_top_15"])
def test_a_column_that_tells_the_dealt_labels_is_caught_by_every_score(metric: str, cohort_dir: Path) -> None:
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    target, groups = table["target"].to_numpy(), table["patient_id"].to_numpy()
    rng = np.random.default_rng(2)
    giver = deal(groups, rng)
    fold = np.unique(groups, return_inverse=True)[1] % 3
    columns = {"honest": rng.random(len(target)), "leaking": target[giver] + 0.3 * rng.random(len(target))}
    outcome = Outcome(np.arange(len(target)), fold.astype(np.int64), columns)
    found = judged([(giver, outcome)], target, groups, seed=3, score=metric, deals=DEALS, alarm=ALARM / 5)
    p = {column.name: column.p for column in found.columns}
    # With twenty lesions a patient nearly all are among fifteen, so this score has little room above chance.
    assert p["leaking"] <= (ALARM if metric == "se_top_15" else ALARM / 5)
    assert p["honest"] > ALARM


def test_every_score_of_the_table_is_judged() -> None:
    assert metrics_of(TASK) == ("pauc", "auc", "nnt_80", "nnt_90", "se_top_15")
    assert metrics_of(SEVEN_CLASSES) == ("auc", "balanced_accuracy")
