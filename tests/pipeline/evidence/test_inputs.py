"""The table of inputs: what a row leaves out is out, what did not change is shared, cells are what they say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.scores.intervals import bootstrap, paired_bootstrap
from features.columns import KNOWN, MEASURED, is_measured
from pipeline.evidence.inputs import PUBLISHED
from pipeline.evidence.variants import VARIANTS, with_inputs
from pipeline.recipe import Recipe, load_recipe, parse_recipe
from pipeline.report.page import NOTHING
from tests.pipeline.test_report import Reader, resolve

COLUMNS = tuple(KNOWN)


def test_every_known_column_of_the_instrument_is_in_one_group() -> None:
    measured = [name for group in MEASURED.values() for name in group]
    assert len(measured) == len(set(measured))
    assert set(measured) == {name for name in KNOWN if name.startswith("tbp_lv_") or name.startswith("clin_size")}
    assert not is_measured("age_approx")


def test_published_figures_are_the_organisers() -> None:
    assert set(PUBLISHED) == set(VARIANTS)
    assert PUBLISHED["BWP"] == {"pauc": 0.164, "auc": 0.957, "nnt_80": 63.62, "nnt_90": 167.16, "se_top_15": 0.695}
    assert PUBLISHED["T"]["nnt_90"] == 308.64


@pytest.mark.parametrize("kept", VARIANTS)
def test_a_variant_has_its_inputs_and_no_others(proven: Path, kept: str) -> None:
    """From the fitted encoders: no column of a class that the row leaves out, whatever it is made into."""
    folder = proven if kept == "BWTP" else proven / "evidence" / kept
    encoder = json.loads((folder / "features" / "fold_1" / "encoder.json").read_text())
    features = encoder["features"]
    published = [one["name"] for one in features if one["family"] == "published"]
    assert any(is_measured(name) for name in published) == ("W" in kept)
    assert any(not is_measured(name) for name in published) == ("B" in kept)
    assert any(one["image"] for one in features) == ("T" in kept)
    families = {one["family"] for one in features}
    assert bool(families & {"patient_z", "counts", "image_ratio"}) == ("P" in kept)
    if "W" not in kept:
        assert not families & {"colour"}
        assert not [one for one in features if "tbp_lv" in one["formula"] or "clin_size" in one["name"]]


def test_a_recipe_without_a_class_says_so(tmp_path: Path) -> None:
    recipe = load_recipe("demo")
    assert with_inputs(recipe, "BWT", ["age_approx", "sex"]) == "this run has no measurements"
    blind = recipe.model_copy(update={"image_models": ()})
    assert with_inputs(blind, "TP", COLUMNS) == "this run has no tiles"
    lone = recipe.model_copy(update={"features": recipe.features.model_copy(update={"families": ("published",)})})
    assert with_inputs(lone, "WP", COLUMNS) == "this run has no patient context"
    members = tuple(one for one in recipe.tabular.members if not one.image_columns)
    unsighted = parse_recipe(json.loads(recipe.model_dump_json()), "x").model_copy(
        update={"tabular": recipe.tabular.model_copy(update={"members": members})}
    )
    assert with_inputs(unsighted, "T", COLUMNS) == "no member of this recipe sees image columns"
    assert isinstance(with_inputs(recipe, "T", COLUMNS), Recipe)


def test_cells_are_scores_and_paired_differences_by_the_bootstrap_itself(
    proven: Path, figures: dict[str, Any], cohort_dir: Path
) -> None:
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    target, groups = table["target"].to_numpy(), table["patient_id"].to_numpy()

    def blend(folder: Path) -> Any:
        read = pl.read_parquet(folder / "tabular" / "oof.parquet")
        return table.select(lesion_id="isic_id").join(read, on="lesion_id", how="left", maintain_order="left")["blend"]

    full, half = blend(proven).to_numpy(), blend(proven / "evidence" / "BT").to_numpy()
    row = next(row for row in figures["inputs"]["rows"] if row["name"] == "BT")
    for metric in ("pauc", "nnt_80", "se_top_15"):
        alone = bootstrap(target, half, groups, score=metric, seed=7)
        lead = paired_bootstrap(target, half, full, groups, score=metric, seed=7)
        assert row["scores"][metric] == pytest.approx(
            {"estimate": alone.estimate, "low": alone.low, "high": alone.high}
        )
        found = {"estimate": lead.estimate, "low": lead.low, "high": lead.high}
        assert row["differences"][metric] == pytest.approx(found, abs=1e-12)
    assert figures["inputs"]["rows"][0]["differences"] is None
    assert not any(row["absent"] for row in figures["inputs"]["rows"])


def test_work_that_did_not_change_is_shared_with_the_run_and_between_variants(proven: Path) -> None:
    blind = "tabular/lightgbm_metadata/fold_0/seed_42/report.json"
    assert (proven / blind).samefile(proven / "evidence" / "BWP" / blind)
    # Not of the run, but of another variant: the member without images learns the same with tiles and without.
    assert (proven / "evidence" / "BWT" / blind).samefile(proven / "evidence" / "BW" / blind)
    assert not (proven / blind).samefile(proven / "evidence" / "BWT" / blind)
    for weights in (proven / "evidence" / "T").glob("oof/*/fold_*/model.safetensors"):
        assert weights.samefile(proven / weights.relative_to(proven / "evidence" / "T"))


def test_every_number_of_the_page_is_in_the_json(proven: Path, figures: dict[str, Any]) -> None:
    reader = Reader((proven / "evidence.html").read_text())
    assert len(reader.figures) > 500
    for pointer, spec, text in reader.figures:
        value = resolve(figures, pointer)
        assert text == (NOTHING if value is None else format(value, spec)), pointer
    shown = {pointer.rpartition("/")[0] for pointer, _, _ in reader.figures}
    for place in range(10):
        assert f"/inputs/rows/{place}/scores/nnt_90" in shown
    assert "/robustness/faults/0/rows/0/differences/pauc" in shown
    assert not np.isnan([figures["inputs"]["rows"][0]["scores"]["pauc"]["estimate"]]).any()
