"""Every data set through the command line, on its twin: checked, learned from, predicted."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.errors import RecipeError
from data.recipe import read_folder
from data.schemas.tcga_skcm import REFUSED
from data.synthetic.stand_in import stand_in
from features.recipe import FeatureRecipe
from features.table import build
from pipeline.recipe import Recipe, load_recipe

SMALL = ("--set", "data.twin.lesions=60", "--set", "data.twin.image_side=33", "--set", "folds.count=2")

RECIPES = ("ham10000", "ham10000_binary", "ham10000_tcga", "ph2", "tcga_skcm", "folder")


def quick(name: str) -> Recipe:
    """A shipped recipe on its smallest twin."""
    return load_recipe(name, [change for change in SMALL if change != "--set"])


@pytest.mark.parametrize("name", RECIPES)
def test_check_accepts_the_twin_and_names_the_classes(cli: Callable[..., object], name: str, tmp_path: Path) -> None:
    answer = cli("check", "--recipe", name, *SMALL, cache=tmp_path)
    assert answer.code == 0, answer
    data = read_folder(quick(name).data, next(tmp_path.glob("synthetic-*")))
    shown = data.train.task.classes[len(data.train.task.classes) == 2 :]
    for label in shown:
        assert label in answer.out
    assert "a run can start" in answer.out


def test_seven_classes_are_trained_and_predicted(cli: Callable[..., object], tmp_path: Path) -> None:
    cache, run = tmp_path / "cache", tmp_path / "run"
    fast = (
        "image_models[0].epochs=1",
        "image_models[0].hidden=4",
        "image_models[0].image_size=32",
        "data.image_size=32",
    )
    members = "tabular.members=[{ name = 'lightgbm', booster = 'lightgbm', iterations = 5 }]"
    changes = [word for change in (*fast, members) for word in ("--set", change)]
    answer = cli("tabular", "--recipe", "ham10000", "--run", run, *SMALL, *changes, cache=cache)
    assert answer.code == 0, answer
    folder = next(cache.glob("synthetic-*"))
    table = pl.read_csv(folder / "HAM10000_metadata.csv").drop("dx", "dx_type").head(6)
    table.write_csv(tmp_path / "new.csv")
    out = tmp_path / "out.csv"
    answer = cli(
        "predict", "--run", run, "--metadata", tmp_path / "new.csv", "--images", folder, "--out", out, "--plain"
    )
    assert answer.code == 0, answer
    predicted = pl.read_csv(out)
    assert predicted["image_id"].to_list() == table["image_id"].to_list()
    assert predicted.drop("image_id").sum_horizontal().to_list() == pytest.approx([1.0] * 6)


def test_tables_alone_are_trained_and_predicted(cli: Callable[..., object], tmp_path: Path) -> None:
    cache, run = tmp_path / "cache", tmp_path / "run"
    changes = [
        "--set",
        "tabular.members=[{ name = 'lightgbm', booster = 'lightgbm', parameters = { min_data_in_leaf = 5 } }]",
    ]
    answer = cli("tabular", "--recipe", "tcga_skcm", "--run", run, *SMALL, *changes, cache=cache)
    assert answer.code == 0, answer
    folder = next(cache.glob("synthetic-*"))
    out = tmp_path / "out.csv"
    answer = cli("predict", "--run", run, "--metadata", folder, "--out", out, "--plain")
    assert answer.code == 0, answer
    assert pl.read_csv(out).columns == ["SAMPLE_ID", "metastasis"]
    assert pl.read_csv(out)["metastasis"].is_between(0, 1).all()


def test_an_image_model_without_images_is_told_so(cli: Callable[..., object], tmp_path: Path) -> None:
    model = "image_models=[{ name = 'net', backbone = 'lesion_net', pretrained = 'none' }]"
    answer = cli(
        "oof", "--recipe", "tcga_skcm", "--run", tmp_path / "run", *SMALL, "--set", model, cache=tmp_path / "cache"
    )
    assert answer.code == 2
    assert "holds tables without images" in answer.err


def test_columns_that_follow_from_the_answer_are_refused(tmp_path: Path) -> None:
    recipe = quick("tcga_skcm")
    folder = stand_in(recipe.data, tmp_path)
    assert folder is not None
    train = read_folder(recipe.data, folder).train
    for name in set(REFUSED) - {"target"}:  # which every recipe refuses
        with pytest.raises(RecipeError, match=name):
            build(train, FeatureRecipe(families=("published",), extra_columns=(name,)))
    assert not set(recipe.features.extra_columns) & set(REFUSED)


def test_without_data_or_twin_the_message_says_how(cli: Callable[..., object], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[data]\nreader = "ph2"\n')
    answer = cli("check", "--recipe", recipe)
    assert answer.code == 2
    assert "no synthetic data ([data.synthetic] or [data.twin])" in answer.err
