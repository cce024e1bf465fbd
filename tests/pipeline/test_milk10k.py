"""MILK10k through the command line, on its twin: from the tables to a checked answer file."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.errors import RecipeError
from data.recipe import read_folder
from data.schemas.milk10k import DIAGNOSES, FORBIDDEN, SUPPLEMENT
from data.synthetic.stand_in import stand_in
from features.recipe import FeatureRecipe
from features.table import build
from pipeline.recipe import load_recipe

SMALL = ("--set", "data.twin.lesions=120", "--set", "data.twin.image_side=33", "--set", "folds.count=3")
MEMBER = (
    "tabular.members=[{ name = 'lightgbm', booster = 'lightgbm', iterations = 10, "
    "parameters = { min_data_in_leaf = 5 } }]"
)
NETWORK = ("epochs=1", "hidden=4", "image_size=32")


@pytest.mark.parametrize("recipe", ["milk10k_tables", "milk10k_both"])
def test_a_run_ends_with_scores_and_an_answer_file(cli: Callable[..., object], recipe: str, tmp_path: Path) -> None:
    cache, run = tmp_path / "cache", tmp_path / "run"
    network = [f"image_models[0].{change}" for change in NETWORK] + ["data.image_size=32"]
    changes = [MEMBER, *(network if recipe == "milk10k_both" else [])]
    settings = [word for change in changes for word in ("--set", change)]
    answer = cli("submission", "--recipe", recipe, "--run", run, *SMALL, *settings, cache=cache)
    assert answer.code == 0, answer
    assert "cross-validated macro_f1" in answer.out

    blend = json.loads((run / "metrics.json").read_text())["cross_validated"]["members"]["blend"]
    assert blend["macro_f1"]["low"] < blend["macro_f1"]["estimate"] < blend["macro_f1"]["high"]
    assert {"balanced_accuracy", "auc"} <= blend.keys()

    folder = next(cache.glob("synthetic-*"))
    asked = pl.read_csv(folder / "MILK10k_Test_Metadata.csv")["lesion_id"].unique(maintain_order=True)
    submitted = pl.read_csv(run / "submission.csv")
    assert submitted.columns == ["lesion_id", *DIAGNOSES]
    assert submitted["lesion_id"].to_list() == asked.to_list()
    assert submitted.drop("lesion_id").sum_horizontal().to_list() == pytest.approx([1.0] * len(asked))

    images = () if recipe == "milk10k_tables" else ("--images", folder / "MILK10k_Test_Input")
    table, out = folder / "MILK10k_Test_Metadata.csv", tmp_path / "out.csv"
    answer = cli("predict", "--run", run, "--metadata", table, *images, "--out", out, "--plain", cache=cache)
    assert answer.code == 0, answer
    predicted = pl.read_csv(out)
    assert predicted.columns == submitted.columns
    for name in DIAGNOSES:
        assert predicted[name].to_list() == pytest.approx(submitted[name].to_list(), abs=1e-6)


def test_columns_known_only_with_the_diagnosis_are_refused(tmp_path: Path) -> None:
    recipe = load_recipe("milk10k_tables", ["data.twin.lesions=40", "data.twin.image_side=33"])
    folder = stand_in(recipe.data, tmp_path)
    assert folder is not None
    train = read_folder(recipe.data, folder).train
    for name in (*SUPPLEMENT, "BCC"):
        with pytest.raises(RecipeError, match=name):
            build(train, FeatureRecipe(families=("published",), extra_columns=(name,)))
    for shipped in ("milk10k", "milk10k_both", "milk10k_tables"):
        assert not set(load_recipe(shipped).features.extra_columns) & (FORBIDDEN - {"target"})
