"""`import fusionnetx as fnx`: every documented example runs, frames come back as they went in, mistakes are named."""

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

import fusionnetx as fnx
from data.errors import DataError, RecipeError
from fusionnetx import run, table
from fusionnetx.run import FittedRun
from pipeline.decision import decision_of
from pipeline.run import Run
from pipeline.runtime import Runtime

README = Path(__file__).parents[2] / "README.md"
QUICK = ("folds.count=3", "tabular.members[0].iterations=20", "tabular.members[1].iterations=20")


def lesions(count: int = 120) -> pl.DataFrame:
    """Five of each patient; every fourth is malignant, and mostly wider."""
    draw = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "id": [f"lesion_{i}" for i in range(count)],
            "patient_id": [f"p{i // 5}" for i in range(count)],
            "width_mm": [draw.normal(4.0 + 2.0 * (i % 4 == 0), 1.2) for i in range(count)],
            "site": [("head", "arm", "back")[i % 3] for i in range(count)],
            "malignant": [int(i % 4 == 0) for i in range(count)],
        }
    )


def as_pandas(table: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(table.to_dict(as_series=False))


def photos(table: pl.DataFrame, folder: Path) -> Path:
    """A picture for every lesion: a malignant one is dark."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, malignant in zip(table["id"], table["malignant"], strict=True):
        pixels = draw.integers(0, 60, (40, 40, 3)) + (40 if malignant else 150)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default folders lie in the test's own, and no image model gets a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FUSIONNETX_CACHE", raising=False)
    monkeypatch.setattr(Runtime, "threads", 1)


Fit = Callable[..., FittedRun]
SPELLED = pl.when(pl.col("malignant") == 1).then(pl.lit("b")).otherwise(pl.lit("a"))
"""The answers by names that say nothing."""


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """`fnx.fit` of a table of lesions, small and without words."""

    def run(table: Any, **more: Any) -> FittedRun:
        words = {"target": "malignant", "group": "patient_id", "lesion": "id", "quiet": True, "changes": QUICK}
        return fnx.fit(table, **{"run": tmp_path / "run", **words, **more})

    return run


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# What the documentation shows


@pytest.mark.parametrize("module", [fnx, run, table], ids=str)
def test_examples_in_docstrings_hold(module: Any, tmp_path: Path):
    found = doctest.testmod(module, extraglobs={"folder": tmp_path})
    assert found.failed == 0
    assert found.attempted or module is not run


@pytest.mark.slow
def test_the_example_of_the_readme_runs(tmp_path: Path):
    table = lesions(40)
    table.write_csv("lesions.csv")
    table.drop("malignant").head(5).write_csv("new.csv")
    photos(table, tmp_path / "photos")
    photos(table.head(5), tmp_path / "new-photos")
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert pl.read_csv("predictions.csv").height == 5
    assert (tmp_path / "runs" / "fit" / "report.html").is_file()


# Frames in, frames of the same kind out


@pytest.mark.parametrize(("kind", "made"), [(pl.DataFrame, lambda table: table), (pd.DataFrame, as_pandas)])
def test_what_comes_back_is_of_the_kind_that_was_given(fit: Fit, kind: type, made: Callable[[pl.DataFrame], Any]):
    table = lesions()
    run = fit(made(table))
    assert run.score > 0.75
    new = made(table.drop("malignant").head(3).reverse())
    answers = run.predict(new)
    for frame in (run.scores, run.oof, answers):
        assert isinstance(frame, kind)
    assert list(answers.columns)[:5] == ["patient_id", "id", "probability", "score", "rank"]
    decision = decision_of(Run.open(run.folder))
    expected = decision.calibrator.apply(np.array(list(answers["score"])))
    np.testing.assert_allclose(np.array(list(answers["probability"])), expected, rtol=6e-4)
    plain = run.predict(new, plain=True)
    assert list(plain.columns) == ["id", "positive"]
    assert list(plain["positive"]) == list(answers["score"])
    assert list(answers["id"]) == ["lesion_2", "lesion_1", "lesion_0"]
    assert list(run.oof["lesion_id"]) == table["id"].to_list()
    blend = pl.DataFrame({name: list(run.scores[name]) for name in ("column", "score", "estimate", "low", "high")})
    estimate, low, high = blend.filter(column="blend", score="auc").select("estimate", "low", "high").row(0)
    assert estimate == run.score
    assert low <= estimate <= high


def test_the_kind_of_new_lesions_decides_what_their_answers_are(fit: Fit):
    table = lesions()
    run = fit(table)
    of_polars, of_pandas = run.predict(table), run.predict(as_pandas(table))
    assert isinstance(of_pandas, pd.DataFrame)
    assert list(of_pandas["probability"]) == of_polars["probability"].to_list()


def test_rows_without_a_name_are_numbered_and_answered_in_their_order(fit: Fit):
    table = lesions().drop("id")
    run = fit(table, lesion=None)
    assert run.oof["lesion_id"].to_list() == [f"row_{i}" for i in range(len(table))]
    turned = run.predict(table.head(4).reverse())
    assert turned["row"].to_list() == ["row_0", "row_1", "row_2", "row_3"]
    assert turned["score"].to_list() == run.predict(table.head(4))["score"].to_list()[::-1]


def test_a_target_of_three_classes_gets_a_column_for_each(fit: Fit):
    table = lesions().with_columns(malignant=pl.Series([("nevus", "melanoma", "wart")[i % 4 % 3] for i in range(120)]))
    answers = fit(table).predict(table.head(2))
    classes = ["melanoma", "nevus", "wart"]
    assert answers.columns == ["patient_id", "id", "most_probable", *classes, "call", "comparable", "notes"]
    assert answers.select(classes).sum_horizontal().to_list() == pytest.approx([1, 1], abs=2e-4)


def test_a_column_that_gives_the_answer_away_is_left_out_unless_it_is_kept(fit: Fit, tmp_path: Path):
    table = lesions().with_columns(excised_mm=pl.col("malignant") * 5.0)
    without = fit(table, run=tmp_path / "without")
    assert "excised_mm" not in without.recipe.features.extra_columns
    kept = fit(table, run=tmp_path / "kept", keep=["excised_mm"])
    assert kept.score > 0.99 > without.score


# What is done is not done again


def test_fitting_again_does_nothing(fit: Fit, tmp_path: Path):
    first = fit(lesions())
    before = contents(tmp_path / "run" / "tabular")
    again = fit(lesions())
    assert contents(tmp_path / "run" / "tabular") == before
    assert again.score == first.score


def test_another_table_in_the_same_run_is_refused_and_changes_nothing(fit: Fit, tmp_path: Path):
    fit(lesions())
    before = contents(tmp_path / "run")
    with pytest.raises(RecipeError, match="made with another recipe or other data"):
        fit(lesions(100))
    assert contents(tmp_path / "run") == before
    assert fit(lesions(100), replace=True).oof.height == 100


def test_another_recipe_in_the_same_run_is_refused(fit: Fit):
    fit(lesions())
    with pytest.raises(RecipeError, match="iterations"):
        fit(lesions(), changes=("folds.count=3", "tabular.members[0].iterations=30"))


# Runs that exist already


def test_a_run_is_opened_without_its_table_wherever_it_lies(fit: Fit, tmp_path: Path):
    score = fit(lesions()).score
    (tmp_path / "run").rename(tmp_path / "moved")
    run = fnx.open_run(tmp_path / "moved", quiet=True)
    assert run.score == score
    assert isinstance(run.scores, pd.DataFrame)
    assert not run.invented
    assert run.report().read_text().startswith("<!DOCTYPE html>")
    [sheet] = run.explain("lesion_4")
    assert "lesion_4" in sheet.read_text()


def test_a_run_of_the_command_line_can_be_opened(run_copy: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    run = fnx.open_run(run_copy, quiet=True)
    assert run.invented
    assert {"narrow", "wide", "lightgbm", "blend"} <= set(run.oof.columns)
    assert run.score == run.metrics["cross_validated"]["members"]["blend"]["pauc"]["estimate"]
    assert run.report() == run_copy / "report.html"
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    answers = run.predict(test, cohort_dir / "test-image.hdf5")
    submitted = pl.read_csv(run_copy / "submission.csv")
    assert answers["isic_id"].to_list() == submitted["isic_id"].to_list()
    np.testing.assert_allclose(answers["score"], submitted["target"], atol=1e-6)


def test_a_folder_of_published_files_is_a_table_too(
    run_copy: Path, cohort_dir: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    before = contents(run_copy / "oof")
    run = fnx.fit(cohort_dir, recipe=str(tiny_recipe), run=str(run_copy), quiet=True)
    assert contents(run_copy / "oof") == before, "the same data, wherever they lie, make nothing stale"
    assert run.invented


# Images


def test_images_are_found_by_the_names_of_the_lesions(fit: Fit, tmp_path: Path):
    table = lesions(60)
    folder = photos(table, tmp_path / "photos")
    changes = (*QUICK, "image_models[0].epochs=3", "image_models[0].image_size=32", "data.image_size=32")
    run = fit(table, images=folder, changes=changes)
    assert "lesion_net" in run.oof.columns
    new = table.drop("malignant").head(4)
    answers = run.predict(new, folder)
    assert answers["probability"].is_between(0, 1).all()
    with pytest.raises(DataError, match="images"):
        run.predict(new)
    # A lesion without an image is answered from its table alone, the others as before.
    (folder / "lesion_0.png").unlink()
    without = run.predict(new, folder)
    assert without["score"][0] != answers["score"][0]
    assert "no usable image" in without["notes"][0]
    assert without["score"].to_list()[1:] == answers["score"].to_list()[1:]


def test_images_need_the_name_of_each_lesion(fit: Fit, tmp_path: Path):
    table = lesions(40)
    with pytest.raises(DataError, match="needs lesion="):
        fit(table, lesion=None, images=photos(table, tmp_path / "photos"))
    assert not (tmp_path / "run").exists()


# Mistakes


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (lambda it: it, {"group": "patient"}, "no column 'patient'; did you mean 'patient_id'"),
        (lambda it: it, {"target": "melanoma"}, "no column 'melanoma'; it has"),
        (lambda it: it, {"forbidden": ["histology"]}, "no column 'histology'"),
        (lambda it: it, {"target": None}, "needs target="),
        (lambda it: it.with_columns(malignant=pl.lit(0)), {}, "'malignant' holds 1 different values"),
        (lambda it: it.with_columns(malignant=pl.lit(None)), {}, "'malignant' holds 0 different values"),
        (lambda it: it.with_columns(malignant=SPELLED), {}, r"which is the positive one: .*positive=\['b'\]"),
        (lambda it: it.to_dicts(), {}, "not list"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_and_leaves_no_folder(
    fit: Fit, tmp_path: Path, change: Callable[[pl.DataFrame], Any], words: dict[str, Any], said: str
):
    with pytest.raises(DataError, match=said):
        fit(change(lesions()), **words)
    assert not (tmp_path / "run").exists()


def test_the_positive_value_can_be_named(fit: Fit):
    assert fit(lesions().with_columns(malignant=SPELLED), positive=["b"]).score > 0.75


def test_new_lesions_need_the_columns_that_the_run_was_fitted_on(fit: Fit):
    run = fit(lesions())
    with pytest.raises(DataError, match="column width_mm is missing"):
        run.predict(lesions().drop("width_mm"))


def test_an_unfinished_run_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="is not a run folder"):
        fnx.open_run(tmp_path / "nothing")
