"""Repeated cross-validation: runs like any other, taken up where they are, and a summary worked out by hand."""

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.files import read_json
from data.scores.ranking import pauc
from pipeline.recipe import load_recipe
from pipeline.repeats import reseeded
from tests.folders import written

pytestmark = pytest.mark.slow


def two_small_members(raw: dict[str, Any]) -> None:
    raw["image_models"] = []
    raw["features"] = {"families": ["published"]}
    raw["tabular"]["members"] = [raw["tabular"]["members"][0], {"name": "linear", "booster": "logistic"}]


def test_splits_and_seeds_are_summed_up(cli: Any, variant: Any, cohort_dir: Path, tmp_path: Path):
    run = tmp_path / "runs" / "repeated"
    recipe = variant(two_small_members)
    answer = cli("tabular", "--recipe", recipe, "--run", run)
    assert answer.code == 0, answer
    answer = cli("repeat", "--run", run, "--splits", 2, "--seeds", 2)
    assert answer.code == 0, answer
    assert "more than the spread?" in answer.out
    cells = {(0, 0): run, **{(s, t): run / f"repeats/split_{s}_seed_{t}" for s, t in [(0, 1), (1, 0), (1, 1)]}}
    folds = {cell: pl.read_parquet(folder / "folds.parquet")["fold"] for cell, folder in cells.items()}
    assert folds[0, 0].equals(folds[0, 1])
    assert folds[1, 0].equals(folds[1, 1])
    assert not folds[0, 0].equals(folds[1, 0])
    columns = {cell: pl.read_parquet(folder / "tabular" / "oof.parquet") for cell, folder in cells.items()}
    assert not columns[0, 0]["blend"].equals(columns[0, 1]["blend"])

    found = read_json(run / "repeats.json")
    score = {
        cell: read_json(folder / "tabular" / "report.json")["scores"]["blend"]["pauc"]["estimate"]
        for cell, folder in cells.items()
    }
    blend = found["columns"]["blend"]
    assert blend["mean"] == pytest.approx(fmean(score.values()))
    means = [fmean([score[s, 0], score[s, 1]]) for s in (0, 1)]
    assert blend["between_splits"] == pytest.approx(stdev(means))
    assert blend["between_seeds"] == pytest.approx(
        np.sqrt(fmean([stdev([score[s, 0], score[s, 1]]) ** 2 for s in (0, 1)]))
    )

    lesions = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False).select(
        pl.col("isic_id").alias("lesion_id"), pl.col("target").cast(pl.Int64)
    )
    target = columns[0, 0].join(lesions, on="lesion_id", how="left", maintain_order="left")["target"].to_numpy()
    ahead = []
    for split in (0, 1):
        for fold in range(3):
            rows = (folds[split, 0] == fold).to_numpy()
            both = [
                pauc(target[rows], columns[split, seed]["blend"].to_numpy()[rows])
                - pauc(target[rows], columns[split, seed]["linear"].to_numpy()[rows])
                for seed in (0, 1)
            ]
            ahead.append(fmean(both))
    lead = found["columns"]["linear"]["blend_ahead"]
    assert lead["evaluations"] == 6
    assert lead["mean"] == pytest.approx(fmean(ahead))
    assert lead["deviation"] == pytest.approx(stdev(ahead))

    # Another blend of the same members, by hand.
    logits = []
    for frame in columns.values():
        said = frame.select("lightgbm_metadata", "linear").to_numpy()
        logits.append(pauc(target, np.log(said / (1 - said)).mean(axis=1)))
    assert found["columns"]["blended.logit_mean"]["mean"] == pytest.approx(fmean(logits))
    assert found["columns"]["blended.logit_mean"]["blend_ahead"]["evaluations"] == 6

    before = written(run / "repeats")
    assert cli("repeat", "--run", run, "--splits", 2, "--seeds", 2).code == 0
    assert written(run / "repeats") == before
    answer = cli("compare", run, run / "repeats" / "split_0_seed_1", "--out", tmp_path / "c.html")
    assert answer.code == 0, answer
    apart = next(one for one in read_json(tmp_path / "c.json")["differences"] if one["column"] == "blend")["told_apart"]
    assert apart["evaluations"] == 3
    assert not apart["distinguishable"]


def test_a_repeat_differs_in_its_seeds_alone():
    recipe = load_recipe("demo")
    assert reseeded(recipe, 0, 0, 5).folds == recipe.folds
    other = reseeded(recipe, 2, 1, 5)
    assert (other.folds.seed, other.seed) != (recipe.folds.seed, recipe.seed)
    same = other.model_copy(update={"folds": recipe.folds, "seed": recipe.seed})
    assert same == recipe
    assert reseeded(recipe, 2, 0, 5).seed == recipe.seed
    given = recipe.model_copy(update={"folds": recipe.folds.model_copy(update={"file": "x.csv"})})
    assert reseeded(given, 0, 1, 5).folds.file == "x.csv"
    assert reseeded(given, 1, 0, 4).folds.file is None
