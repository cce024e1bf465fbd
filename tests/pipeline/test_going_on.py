"""What is done again of a finished run and what is not: the recipe and the files alone decide."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.damage import alter, cut
from tests.folders import reports_changed, results, written

pytestmark = pytest.mark.slow


def test_a_second_run_does_nothing_even_under_another_path(submit: Any, run_copy: Path):
    before = written(run_copy)
    said = submit(run_copy)
    assert written(run_copy) == before
    assert "all 6 fold models are done" in said
    assert "all 12 boosters are done" in said
    assert "up to date" in said


def test_a_changed_image_model_is_trained_again_with_what_follows(submit: Any, run_copy: Path):
    before = written(run_copy)
    said = submit(run_copy, "--set", "image_models[wide].epochs=2", "--replace")
    assert "epochs 1 -> 2" in said
    changed = reports_changed(before, written(run_copy))
    assert {f"oof/wide/fold_{k}" for k in range(3)} <= changed
    assert {
        f"tabular/{name}/fold_{k}/seed_42" for k in range(3) for name in ("lightgbm", "catboost", "xgboost")
    } <= changed
    assert not {name for name in changed if name.startswith(("oof/narrow", "tabular/lightgbm_metadata"))}


def test_a_new_image_model_is_the_only_one_trained(cli: Any, run_copy: Path, variant: Any):
    recipe = variant(lambda raw: raw["image_models"].append({**raw["image_models"][0], "name": "third", "hidden": 2}))
    before = written(run_copy)
    assert cli("oof", "--recipe", recipe, "--run", run_copy, "--replace").code == 0
    changed = reports_changed(before, written(run_copy))
    assert changed == {"oof", *(f"oof/third/fold_{k}{part}" for k in range(3) for part in ("", "/test"))}
    assert pl.read_parquet(run_copy / "oof" / "oof.parquet").columns[2:] == ["narrow", "wide", "third"]


def test_a_new_member_is_the_only_one_fitted(submit: Any, run_copy: Path, variant: Any):
    member = {"name": "newcomer", "booster": "lightgbm", "image_columns": False, "iterations": 5}
    recipe = variant(lambda raw: raw["tabular"]["members"].append(member))
    before = written(run_copy)
    submit(run_copy, "--replace", recipe=recipe)
    changed = reports_changed(before, written(run_copy))
    assert changed == {"tabular", "tabular/calibration", *(f"tabular/newcomer/fold_{k}/seed_42" for k in range(3))}


def test_another_blend_fits_nothing(finished_run: Path, ranks: Path):
    assert reports_changed(written(finished_run), written(ranks)) == {"tabular", "tabular/calibration"}
    metrics = json.loads((ranks / "metrics.json").read_text())
    members = pl.read_parquet(ranks / "tabular" / "oof.parquet")
    assert metrics["cross_validated"]["members"]["blend"]["lesions"]["estimate"] == members.height


@pytest.mark.parametrize(
    "damages",
    [
        {"oof/narrow/fold_1/model.safetensors": cut, "oof/wide/fold_2/predictions.parquet": Path.unlink},
        {"oof/narrow/fold_0/test/predictions.parquet": alter, "oof/oof.parquet": cut},
        {
            "tabular/catboost/fold_0/seed_42/model.cbm": cut,
            "tabular/lightgbm/fold_1/seed_42/predictions.parquet": Path.unlink,
            "features/fold_2/encoder.json": cut,
        },
        {"tabular/oof.parquet": alter, "tabular/blend.json": cut, "oof/test.parquet": Path.unlink},
        {"submission.csv": alter},
        {"metrics.json": Path.unlink},
        {"oof/narrow/fold_0/report.json": cut, "tabular/xgboost/fold_0/seed_42/report.json": cut},
    ],
    ids=lambda damages: "+".join(damages),
)
def test_a_damaged_file_is_noticed_and_made_again_to_the_same_bytes(
    submit: Any, finished_run: Path, run_copy: Path, damages: dict
):
    for name, damage in damages.items():
        damage(run_copy / name)
    said = submit(run_copy)
    assert results(run_copy) == results(finished_run)
    assert "damaged" in said or "missing" in said
