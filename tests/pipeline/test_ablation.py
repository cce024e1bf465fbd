"""The ablation study: what is taken away is away, what is the same is shared and never overwritten, rows are paired."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pipeline.steps.tabular import run_tabular

from data.cohort import DataFolder
from data.scores.intervals import bootstrap
from data.scores.scores import pauc
from features.families.registry import FAMILIES, patient_families
from features.recipe import FeatureRecipe
from features.table import build
from pipeline.ablation.reuse import adopt
from pipeline.ablation.rows import mean_of
from pipeline.ablation.scores import verdict
from pipeline.ablation.variants import (
    VARIANTS,
    metadata_alone,
    metadata_alone_simply,
    without_patient_features,
    without_relabelled,
    without_resampling,
)
from pipeline.commands.options import workspace
from pipeline.recipe import Recipe, load_recipe, shipped_recipes
from pipeline.run import Step

READING = re.compile(r"published order .*?, (.+?): (.+)")


@pytest.fixture(scope="session")
def studied(once: Any, finished_run: Path, tiny_recipe: Path, cohort_dir: Path) -> Path:
    """The finished run after `ablation`, with what it said; never changed."""
    from tests.conftest import run_in_process

    def make(folder: Path) -> None:
        shutil.copytree(finished_run, folder / "tiny")
        answer = run_in_process(
            ["ablation", "--recipe", str(tiny_recipe), "--run", str(folder / "tiny")], cache=cohort_dir.parent
        )
        assert answer.code == 0, answer
        (folder / "said.txt").write_text(answer.out)

    return once("studied", make) / "tiny"


@pytest.fixture(scope="session")
def figures(studied: Path) -> dict[str, Any]:
    return json.loads((studied / "ablation.json").read_text())


def test_families_of_the_patient_are_those_that_look_at_other_lesions(cohort_dir: Path, tiny_recipe: Path) -> None:
    """Asked of every family: without half of each patient's lesions, does a value change?"""
    space = workspace(load_recipe(str(tiny_recipe)), cohort_dir, None)
    space.cache_dir = cohort_dir.parent
    data: DataFolder = space.data
    train = data.train
    rng = np.random.default_rng(0)
    scores = pl.DataFrame({"lesion_id": train.ids.tolist(), "net": rng.uniform(0.01, 0.9, len(train.ids))})
    kept = rng.random(len(train.ids)) < 0.5
    recipe = FeatureRecipe(families=tuple(name for name in FAMILIES if name != "image_site_age_z"))
    whole = build(train, recipe, scores)
    half = build(type(train)(train.table.filter(kept), train.task, True, train.forbidden), recipe, scores.filter(kept))
    moved = {
        feature.family
        for feature in whole.features
        if not whole.frame.filter(kept)[feature.name].equals(half.frame[feature.name], null_equal=True)
    }
    assert moved == set(patient_families())


def test_every_variant_takes_away_what_it_names() -> None:
    demo = load_recipe("demo")
    alone = metadata_alone(demo)
    assert isinstance(alone, Recipe)
    assert alone.image_models == ()
    assert not any(member.image_columns for member in alone.tabular.members)
    # The two LightGBM members of the paper differ in nothing but the image columns: one is left, the one fitted before.
    assert [member.name for member in alone.tabular.members] == ["lightgbm_metadata", "catboost", "xgboost"]
    assert alone.tabular.members[0] == demo.tabular.members[0]
    simple = metadata_alone_simply(demo)
    assert isinstance(simple, Recipe)
    assert simple.features.encodes_target
    assert simple.features.chosen == ("published", "image_logit")
    unsampled = without_resampling(demo)
    assert isinstance(unsampled, Recipe)
    assert unsampled.tabular.resample.method == "none"
    lonely = without_patient_features(demo)
    assert isinstance(lonely, Recipe)
    assert not set(lonely.features.chosen) & set(patient_families())
    assert set(demo.features.chosen) - set(lonely.features.chosen) <= set(patient_families())
    paper = without_relabelled(load_recipe("fusionnetx"))
    assert isinstance(paper, Recipe)
    assert [model.name for model in paper.image_models] == ["convnextv2_nano", "vit_tiny"]


def test_a_part_that_a_recipe_does_not_have_is_named() -> None:
    demo = load_recipe("demo")
    assert "no image model learns relabelled" in str(without_relabelled(demo))
    plain = load_recipe("demo", ["tabular.resample.method=none", "features.families=['published']"])
    assert "nothing is resampled" in str(without_resampling(plain))
    assert "other lesions" in str(without_patient_features(plain))
    assert "no image models" in str(metadata_alone(plain.model_copy(update={"image_models": ()})))


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_has_valid_variants(name: str) -> None:
    base = load_recipe(name)
    for variant in VARIANTS:
        recipe = variant.recipe(base)
        if isinstance(recipe, Recipe):
            assert recipe != base
            assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_all_rows_are_scored_with_intervals(figures: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in figures["rows"]}
    assert list(rows) == [
        "full", "image_only", "image_only.narrow", "image_only.wide", "without_voting.lightgbm_metadata",
        "without_voting.lightgbm", "without_voting.catboost", "without_voting.xgboost", "metadata_advanced",
        "metadata_simple", "without_patient_features", "without_relabelled", "without_resampling",
    ]  # fmt: skip
    assert rows["without_relabelled"]["absent"]
    for name, row in rows.items():
        for part in ("cross_validated", "hidden_test") if not row["absent"] else ():
            score = row[part]["score"]
            assert 0.0 <= score["low"] <= score["estimate"] <= score["high"] <= 0.2
            difference = row[part]["difference"]
            assert (difference is None) == (name == "full")
            if difference:
                full = rows["full"][part]["score"]["estimate"]
                assert difference["estimate"] == pytest.approx(score["estimate"] - full, abs=1e-12)
                assert difference["low"] <= difference["estimate"] <= difference["high"]


def test_the_soft_vote_of_images_is_scored_as_by_hand(studied: Path, figures: dict[str, Any], cohort_dir: Path) -> None:
    oof = pl.read_parquet(studied / "oof" / "oof.parquet")
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    joined = table.select("isic_id", "patient_id", "target").join(oof, left_on="isic_id", right_on="lesion_id")
    joined = joined.filter(pl.col("narrow").is_not_null() & pl.col("wide").is_not_null())
    probability = joined.select((pl.col("narrow") + pl.col("wide")) / 2).to_series().to_numpy()
    target, groups = joined["target"].to_numpy(), joined["patient_id"].to_numpy()
    row = next(row for row in figures["rows"] if row["name"] == "image_only")
    shown = row["cross_validated"]["score"]
    if len(joined) == len(table):
        assert shown["estimate"] == pytest.approx(pauc(target, probability), abs=1e-12)
        assert shown["low"] == pytest.approx(bootstrap(target, probability, groups, replicates=1000, seed=7).low)
    else:
        assert shown["estimate"] == pytest.approx(pauc(target, probability), abs=0.01)


def test_order_and_published_figures_are_said(studied: Path, figures: dict[str, Any]) -> None:
    said = (studied.parent / "said.txt").read_text()
    verdicts = READING.findall(said)
    assert [part for part, _ in verdicts] == ["cross-validated", "hidden demo test"]
    for part in ("cross_validated", "hidden_test"):
        leads = [step["lead"] for step in figures["order"][part]["steps"]]
        assert figures["order"][part]["verdict"] == verdict(leads)
    assert "0.17295" in said
    assert "other lesions" in said
    assert "not in this recipe" in said


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        ([(0.02, 0.01), (0.03, 0.005)], "holds"),
        ([(0.02, 0.01), (0.03, -0.001)], "leaning"),
        ([(0.02, 0.01), (-0.001, -0.02)], "does not hold"),
        ([(0.0, -0.01), (0.1, 0.05)], "does not hold"),
    ],
)
def test_verdicts(leads: list[tuple[float, float]], expected: str) -> None:
    assert verdict([{"estimate": at, "low": low, "high": 1.0} for at, low in leads]) == expected


def test_nothing_that_did_not_change_was_made_again(studied: Path) -> None:
    for variant in ("metadata_advanced", "without_resampling", "without_patient_features"):
        folder = studied / "ablation" / variant
        for model in folder.glob("oof/*/fold_*/model.safetensors"):
            assert model.samefile(studied / model.relative_to(folder))
        assert not list(folder.glob("oof/*/fold_*/last*"))
    same = "tabular/lightgbm_metadata/fold_0/seed_42/report.json"
    assert (studied / same).samefile(studied / "ablation" / "metadata_advanced" / same)
    refitted = "tabular/xgboost/fold_0/seed_42/report.json"
    assert not (studied / refitted).samefile(studied / "ablation" / "metadata_advanced" / refitted)


def test_the_run_itself_is_left_as_it_was(studied: Path, finished_run: Path) -> None:
    for path in finished_run.rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert (studied / path.relative_to(finished_run)).read_bytes() == path.read_bytes(), path


def test_a_second_study_makes_nothing_and_says_the_same(
    studied: Path, tmp_path: Path, tiny_recipe: Path, cli: Callable[..., Any]
) -> None:
    run = shutil.copytree(studied, tmp_path / "tiny")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.parquet")}
    answer = cli("ablation", "--recipe", tiny_recipe, "--run", run, "--only", "metadata_simple", "--only", "image_only")
    assert answer.code == 0, answer.err
    assert "9 of 9 boosters were there already" in answer.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.parquet")} == before
    fewer = json.loads((run / "ablation.json").read_text())
    all_rows = {row["name"]: row for row in json.loads((studied / "ablation.json").read_text())["rows"]}
    assert [row["name"] for row in fewer["rows"]] == [
        "full", "image_only", "image_only.narrow", "image_only.wide", "metadata_simple",
    ]  # fmt: skip
    assert all(row == all_rows[row["name"]] for row in fewer["rows"])


def test_an_unknown_row_is_refused(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    answer = cli("ablation", "--recipe", tiny_recipe, "--run", tmp_path / "none", "--only", "metadata")
    assert answer.code == 2
    assert "--only metadata: there is no such row; there are image_only" in answer.err


def test_refitting_a_variant_leaves_the_files_of_the_run(
    studied: Path, tmp_path: Path, tiny_recipe: Path, cohort_dir: Path
) -> None:
    """Shared files are replaced, never written: the run keeps its own when a variant changes its mind."""
    run = shutil.copytree(studied, tmp_path / "tiny")
    variant = run / "ablation" / "metadata_advanced"
    shared = "tabular/lightgbm_metadata/fold_0/seed_42"
    for name in ("report.json", "predictions.parquet"):
        (variant / shared / name).unlink()
        (variant / shared / name).hardlink_to(run / shared / name)
    before = (run / shared / "predictions.parquet").read_bytes()
    changes = ["tabular.members[0].iterations=3"]
    space = workspace(load_recipe(str(variant / "recipe.toml"), changes), variant, None)
    space.cache_dir = cohort_dir.parent
    run_tabular(space)
    assert (variant / shared / "predictions.parquet").read_bytes() != before
    assert (run / shared / "predictions.parquet").read_bytes() == before
    assert (run / shared / "report.json").is_file()


def test_only_the_same_and_whole_work_is_taken_over(tmp_path: Path) -> None:
    def step(folder: str, setting: int) -> Step:
        return Step("work", tmp_path / folder, {"setting": setting})

    done = step("a", 1)
    done.begin()
    (tmp_path / "a" / "result").write_text("whole")
    done.finish(["result"])
    assert adopt(step("same", 1), tmp_path / "a")
    assert (tmp_path / "same" / "result").samefile(tmp_path / "a" / "result")
    assert not adopt(step("other", 2), tmp_path / "a")
    assert not (tmp_path / "other" / "report.json").exists()
    (tmp_path / "a" / "result").write_text("whole, but longer")
    assert not adopt(step("late", 1), tmp_path / "a")


def test_a_folder_that_cannot_share_files_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.ablation import reuse

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")

    def refuse(*_: Any) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(reuse.os, "link", refuse)
    reuse.link_all(tmp_path / "a", tmp_path / "b", ["x", "missing"])
    assert (tmp_path / "b" / "x").read_text() == "1"
    assert not (tmp_path / "b" / "x").samefile(tmp_path / "a" / "x")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["x"]


def test_a_lesion_is_voted_on_by_the_models_that_know_it() -> None:
    nan = float("nan")
    columns = {"a": np.array([0.2, nan, nan, 0.5]), "b": np.array([0.4, 0.6, nan, 0.7])}
    np.testing.assert_allclose(mean_of(columns, ["a", "b"]), [0.3, 0.6, nan, 0.6])
    classes = {"a:x": np.array([0.2]), "a:y": np.array([0.8]), "b:x": np.array([0.4]), "b:y": np.array([0.6])}
    np.testing.assert_allclose(mean_of(classes, ["a", "b"]), [[0.3, 0.7]])


def test_the_report_shows_a_study_of_this_run_and_of_no_other(
    studied: Path, tmp_path: Path, tiny_recipe: Path, cohort_dir: Path
) -> None:
    from pipeline.report.ablation import study_of, study_plot
    from pipeline.report.finished import open_finished

    space = workspace(load_recipe(str(tiny_recipe)), shutil.copytree(studied, tmp_path / "tiny"), None)
    space.cache_dir = cohort_dir.parent
    run = open_finished(space)
    study = study_of(run)
    assert study is not None
    drawn = study_plot(study)
    assert len(drawn.rows) == 11  # all but full and the row that this recipe does not have
    path = space.run_dir / "ablation.json"
    path.write_text(json.dumps({**study, "of": "other columns"}))
    assert study_of(run) is None
    path.write_text("{ damaged")
    assert study_of(run) is None
