"""Unseen clinics: a planted difference between institutions is found, and none where there is none; patients whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.synthetic.isic2024.cohort import draw_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from pipeline.card.sections import Answers
from pipeline.recipe import parse_recipe, recipe_text
from pipeline.run import Run

TABLES = {
    "seed": 7,
    "data": {
        "image_size": 32,
        "synthetic": {
            "lesions": 3000, "patients": 250, "malignant": 450, "test_lesions": 40, "test_patients": 8,
            "test_malignant": 8, "seed": 11, "images": False,
        },
    },
    "folds": {"count": 4},
    "features": {"families": ["published"]},
    "tabular": {
        "members": [
            {
                "name": "lightgbm", "booster": "lightgbm", "iterations": 60,
                "parameters": {"min_data_in_leaf": 10, "learning_rate": 0.08, "num_leaves": 15},
            }
        ],
        "resample": {"method": "none"},
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def clinics(once: Any) -> Callable[[float], tuple[Path, dict[str, Any]]]:
    """The run and the figures of `evidence --clinics` on a cohort of so much difference between institutions."""
    from tests.conftest import run_in_process

    def of(shift: float) -> tuple[Path, dict[str, Any]]:
        def make(folder: Path) -> None:
            recipe = parse_recipe(json.loads(json.dumps(TABLES)), "tables")
            synthetic = recipe.data.synthetic.model_copy(update={"institution_shift": shift})
            recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"synthetic": synthetic})})
            (folder / "tables.toml").write_text(recipe_text(recipe))
            named = ["--recipe", str(folder / "tables.toml"), "--run", str(folder / "run")]
            for command in (["tabular", *named], ["evidence", "--run", str(folder / "run"), "--clinics"]):
                answer = run_in_process(command, cache=folder / "cache")
                assert answer.code == 0, answer

        folder = once(f"clinics-{shift:g}", make) / "run"
        return folder, json.loads((folder / "evidence.json").read_text())["clinics"]

    return of


def test_a_planted_difference_is_found_and_none_where_there_is_none(clinics: Any) -> None:
    _, differ = clinics(1.0)
    _, alike = clinics(0.0)
    for told in ("with", "without"):
        assert differ["mean"][told]["auc"]["unseen_is"] == "worse"
        assert alike["mean"][told]["auc"]["unseen_is"] == "no different"
        assert differ["mean"][told]["auc"]["fall"]["low"] > 0.02
        assert abs(alike["mean"][told]["auc"]["fall"]["estimate"]) < 0.02


def test_the_card_says_it(clinics: Any) -> None:
    folder, figures = clinics(1.0)
    card = Answers(Run.open(folder))
    rows = {str(row[0]): row for row in card.sites().rows}
    first, by = figures["clinics"][0], figures["by"]
    row = rows[f"{first['name']}, unseen to the models, with {by} as an input"]
    unseen = first["told"]["with"][card.score]["unseen"]
    assert row[1].text == f"{first['lesions']:,}"
    assert row[3].text == f"{unseen['estimate']:.4f} ({unseen['low']:.4f} to {unseen['high']:.4f})"
    fall = figures["mean"]["without"][card.score]["fall"]["estimate"]
    assert rows["Mean of what being unseen costs, without it"][3].text.startswith(f"{fall:+.4f} (")


def test_an_unseen_institution_was_in_no_models_training(clinics: Any) -> None:
    folder, figures = clinics(1.0)
    folds = pl.read_parquet(folder / "evidence" / "unseen_with" / "folds.parquet")
    cache = next((folder.parent / "cache").glob("synthetic-*"))
    table = pl.read_csv(cache / "train-metadata.csv", infer_schema_length=None)
    joined = table.select(lesion_id="isic_id", place="attribution").join(folds, on="lesion_id")
    for fold, one in enumerate(figures["clinics"]):
        there = joined.filter(pl.col("fold") == fold)
        assert set(there["place"]) == set(one["values"])
        assert not joined.filter(pl.col("fold") != fold, pl.col("place").is_in(one["values"])).height
        encoder = json.loads((folder / f"evidence/unseen_with/features/fold_{fold}/encoder.json").read_text())
        assert not set(encoder["categories"]["attribution"]) & set(one["values"])
        blind = json.loads((folder / f"evidence/unseen_without/features/fold_{fold}/encoder.json").read_text())
        assert "attribution" not in blind["categories"]
        assert one["learned_from"]["lesions"] == len(table) - one["lesions"]


def test_known_is_the_runs_own_score_at_the_place(clinics: Any) -> None:
    from sklearn.metrics import roc_auc_score

    folder, figures = clinics(0.0)
    cache = next((folder.parent / "cache").glob("synthetic-*"))
    table = pl.read_csv(cache / "train-metadata.csv", infer_schema_length=None)
    own = table.select(lesion_id="isic_id", place="attribution", target="target").join(
        pl.read_parquet(folder / "tabular" / "oof.parquet"), on="lesion_id"
    )
    for one in (one for one in figures["clinics"] if one["told"]):
        there = own.filter(pl.col("place").is_in(one["values"]))
        by_hand = roc_auc_score(there["target"], there["blend"])
        assert one["told"]["with"]["auc"]["known"]["estimate"] == pytest.approx(by_hand)
        found = one["told"]["with"]["auc"]
        assert found["fall"]["estimate"] == pytest.approx(found["known"]["estimate"] - found["unseen"]["estimate"])


def test_without_a_difference_the_cohort_is_what_it_was() -> None:
    plain = SyntheticRecipe(lesions=400, test_lesions=40, seed=3, images=False)
    none = plain.model_copy(update={"institution_shift": 0.0})
    assert plain.identity == {name: value for name, value in plain.model_dump().items() if name != "institution_shift"}
    shifted = plain.model_copy(update={"institution_shift": 0.5})
    for one, same, other in zip(*map(draw_cohort, (plain, none, shifted)), strict=True):
        assert one.table.equals(same.table)
        assert one.table["attribution"].equals(other.table["attribution"])
        assert not np.allclose(one.table["tbp_lv_Lext"], other.table["tbp_lv_Lext"])
        # Exact relations between columns hold whatever the device.
        measured = other.table.select(
            (pl.col("tbp_lv_L") - pl.col("tbp_lv_Lext") - pl.col("tbp_lv_deltaL")).abs().max()
        )
        assert measured.item() < 1e-4


def test_a_column_that_is_not_there_is_refused(finished_run: Path, cli: Callable[..., Any]) -> None:
    answer = cli("evidence", "--run", finished_run, "--clinics", "--by", "hospital")
    assert answer.code == 2
    assert "--by hospital: the training table has no such column" in answer.err
