"""Worse inputs: frozen models say what they said when nothing is worse, and a fault does what it is called."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline.actions.opening import surroundings
from pipeline.evidence.held_out import HeldOut, emptied
from pipeline.evidence.worse_pictures import FAULTS
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.run import Run

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(params=[1, 2], ids=["one at a time", "side by side"])
def held_out(
    request: pytest.FixtureRequest, finished_run: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> HeldOut:
    """The networks are asked one after the other, or two at once: what they say must not differ."""
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    here = surroundings()
    run = Run.open(finished_run)
    resources = run.recipe.resources.model_copy(update={"image_models_at_once": request.param})
    inputs = Inputs(run.derive(recipe=run.recipe.model_copy(update={"resources": resources})), here)
    return HeldOut(inputs, here, plan_of(inputs))


def test_unchanged_inputs_give_the_runs_own_answers(held_out: HeldOut, finished_run: Path) -> None:
    train = held_out.inputs.data.train
    own = pl.read_parquet(finished_run / "tabular" / "oof.parquet")["blend"].to_numpy()
    images = pl.read_parquet(finished_run / "oof" / "oof.parquet")
    np.testing.assert_array_equal(held_out.blended(train, held_out.own_image_scores()), own)
    seen = held_out.image_scores([lambda pictures: pictures], train.table, lambda *_, **__: None)[0]
    for name in ("narrow", "wide"):
        np.testing.assert_array_equal(seen[name].to_numpy(), images[name].to_numpy())


def test_a_fault_reaches_the_held_out_lesions_and_nothing_else(held_out: HeldOut) -> None:
    """Black pictures give every lesion of a fold the same image score, by that fold's network."""
    train, folds = held_out.inputs.data.train, held_out.inputs.folds
    black = held_out.image_scores([np.zeros_like], train.table, lambda *_, **__: None)[0]
    for fold in range(folds.count):
        there = black["narrow"].to_numpy()[folds.validation_rows(fold)]
        assert np.ptp(there[np.isfinite(there)]) < 1e-6
    empty = emptied(train, ["age_approx", "tbp_lv_location"])
    assert empty.table["age_approx"].null_count() == len(train.ids)
    assert np.isfinite(held_out.blended(empty, held_out.own_image_scores())).all()


def test_the_table_has_every_fault_and_every_group(figures: dict[str, Any]) -> None:
    part = figures["robustness"]
    assert {fault["name"] for fault in part["faults"]} == {
        "blur", "jpeg", "cast", "brightness", "resolution", "noise",
    }  # fmt: skip
    names = {row["name"] for row in part["missing"]}
    assert {"age_approx", "sex", "anatom_site_general", "all of colour", "all of size", "every measurement"} <= names
    assert part["as_it_is"] == figures["inputs"]["rows"][0]["scores"]
    every = next(row for row in part["missing"] if row["name"] == "every measurement")
    assert every["differences"]["auc"]["estimate"] < -0.02


def test_faults_against_independent_ones() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)

    def spread(name: str, strength: float) -> float:
        return float(BY_NAME[name].on(picture[None], strength)[0].std())

    assert spread("blur", 1) > spread("blur", 4) > spread("blur", 20)
    assert spread("resolution", 50) > spread("resolution", 12.5)
    np.testing.assert_array_equal(
        BY_NAME["brightness"].on(picture[None], -40)[0], np.clip(np.rint(picture * np.float32(0.6)), 0, 255)
    )
    cast = BY_NAME["cast"].on(picture[None], 20)[0]
    assert cast[..., 0].mean() > picture[..., 0].mean()
    assert cast[..., 2].mean() < picture[..., 2].mean()
    np.testing.assert_array_equal(cast[..., 1], picture[..., 1])
    noise = BY_NAME["noise"].on(np.full((1, 64, 64, 3), 128, np.uint8), 10)[0].astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.05)
    slope = np.add.outer(np.arange(32), np.arange(32))
    smooth = np.stack([slope * 2, 200 - slope, slope + 40], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=50)
    by_pillow = np.asarray(Image.open(file)).astype(int)
    assert np.abs(BY_NAME["jpeg"].on(smooth[None], 50)[0].astype(int) - by_pillow).max() <= 8
    assert BY_NAME["blur"].on(np.empty((0, 8, 8, 3), np.uint8), 1).shape == (0, 8, 8, 3)
