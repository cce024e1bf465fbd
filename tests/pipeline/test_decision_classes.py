"""Answers for many classes: calibrated by one temperature, the most probable class named, sets of classes."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

NOT_CLASSES = {"lesion_id", "image_id", "most_probable", "call", "comparable", "notes"}


def test_many_classes_are_calibrated_and_answered(cli: Any, tmp_path: Path):
    cache, run = tmp_path / "cache", tmp_path / "run"
    small = ("data.twin.lesions=60", "data.twin.image_side=33", "folds.count=2", "image_models=[]")
    members = "tabular.members=[{ name = 'lightgbm', booster = 'lightgbm', iterations = 5 }]"
    changes = [word for change in (*small, members) for word in ("--set", change)]
    answer = cli("tabular", "--recipe", "ham10000", "--run", run, *changes, cache=cache)
    assert answer.code == 0, answer
    assert "calibration: temperature" in answer.out
    folder = next(cache.glob("synthetic-*"))
    table = pl.read_csv(folder / "HAM10000_metadata.csv").drop("dx", "dx_type").head(6)
    table.write_csv(tmp_path / "new.csv")
    out = tmp_path / "out.csv"
    answer = cli("predict", "--run", run, "--metadata", tmp_path / "new.csv", "--out", out, cache=cache)
    assert answer.code == 0, answer
    said = pl.read_csv(out)
    columns = [name for name in said.columns if name not in NOT_CLASSES]
    assert len(columns) == 7
    assert said.select(columns).sum_horizontal().to_list() == pytest.approx([1.0] * 6, abs=2e-3)
    for row in said.iter_rows(named=True):
        assert row[row["most_probable"]] == max(row[name] for name in columns)
    assert set(said["call"]) <= {*columns, "uncertain"}
    refused = cli("recalibrate", "--run", run, "--data", folder, "--name", "other", cache=cache)
    assert refused.code == 2
    assert "for two classes" in refused.err
