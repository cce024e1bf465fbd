"""Published systems: every one trains on its twin, protocols divide as they say, scores are those of scikit-learn."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pipeline.workspace import Workspace
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from data.errors import RecipeError
from data.readers.reading import ToldColumns
from pipeline.commands.options import workspace
from pipeline.recipe import load_recipe
from research.systems.cost import parameter_count
from research.systems.null import look_up, paired_again
from research.systems.protocols import (
    by_row,
    divide,
    protocols_named,
    replicated,
    s3_published,
    s4_published,
    s5_published,
    subset,
)
from research.systems.registry import SOURCES, SYSTEMS, Fast, System, chosen_systems
from research.systems.run import Comparison, Worlds, paired, why_not
from research.systems.scored import Scored
from research.systems.table import markdown, summary_cells
from research.systems.told import told_columns, unable

SMALL = ("data.twin.lesions=60", "data.twin.image_side=33", "folds.count=3")
TINY = Fast(image_size=32, epochs=1, rows=40)
LIGHTER = dict.fromkeys(("efficientnet_b4", "efficientnet_b0", "mobilenetv2_100", "dermi_resnet"), "lesion_net") | {
    "resnet18": "custom_cnn"
}
"""Backbones of the quick form; `FUSIONNETX_ALL_SYSTEMS=1` trains the published ones, in minutes."""
EVERYTHING = bool(os.environ.get("FUSIONNETX_ALL_SYSTEMS"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the twins of this module."""
    return tmp_path_factory.mktemp("systems-cache")


@pytest.fixture(scope="module")
def place(cache: Path) -> Callable[..., Workspace]:
    """A workspace on a recipe's smallest twin."""

    def make(recipe: str, run: Path, *changes: str) -> Workspace:
        space = workspace(load_recipe(recipe, [*SMALL, *changes]), run, None)
        space.cache_dir, space.weights_dir = cache, cache / "weights"
        return space

    return make


def tiny(system: System) -> System:
    return dataclasses.replace(system, fast=TINY)


def trained() -> list[System]:
    """Every network of the roster; in the quick form none that is a larger backbone alone."""
    alone = ("densenet121", "efficientnet_b1")
    networks = [system for system in SYSTEMS if system.roster and not system.two_stages]
    return [system for system in networks if EVERYTHING or system.network.backbone not in alone]


@pytest.mark.parametrize("system", trained(), ids=lambda s: s.name)
def test_every_network_trains_on_its_twin(
    system: System, place: Callable[..., Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = system.network
    if not EVERYTHING:
        lighter = dataclasses.replace(
            network,
            backbone=LIGHTER.get(network.backbone, network.backbone),
            second_backbone=LIGHTER.get(network.second_backbone, network.second_backbone),
        )
        monkeypatch.setattr(System, "network", property(lambda _: lighter))
    recipe = "s2_hybrid" if system.source == "S2" else "ham10000"
    worlds = Worlds(place(recipe, tmp_path), Comparison((tiny(system),), ("sound",), fast=True))
    result = worlds.result(tiny(system), "sound", system.name)
    for name in ("accuracy", "balanced_accuracy", "auc", "average_precision", "f1"):
        assert 0 <= result["scores"][name]["estimate"] <= 1
    assert result["shared_rows"] == result["shared_lesions"] == 0
    assert result["cost"]["parameters"] > 1000
    assert min(result["cost"][name] for name in ("megabytes", "ms_per_image", "seconds_per_epoch")) > 0


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
def test_every_system_is_built_at_full_size_and_counted(system: System) -> None:
    """DenseNet121's features have 6,953,856 parameters; none is empty."""
    count = parameter_count(system)
    known = {"s3_densenet121": 6_953_856 + 1_024 * 128 + 128 + 128 * 7 + 7}
    assert count == known.get(system.name, count)
    assert count > 10_000


def test_published_figures_and_recipes_are_those_of_the_sources() -> None:
    by_name = {system.name: system for system in SYSTEMS}
    assert len(by_name) == len(SYSTEMS)
    assert {system.source for system in SYSTEMS} == set(SOURCES)
    assert by_name["s5_cross_attention"].published == {"accuracy": 0.9886}
    assert by_name["s3_frozen_b0"].published == {"accuracy": 0.7239}
    assert by_name["s4_site_branches"].published["auc"] == 0.945
    fusions = [system.network.fusion for system in SYSTEMS if system.source == "S5"][2:]
    assert [f"s5_{fusion}" for fusion in fusions] == [s.name for s in SYSTEMS if s.source == "S5"][2:]
    for system in SYSTEMS:
        if not system.two_stages:
            assert system.network.name == system.model


def test_names_and_sources_choose_systems() -> None:
    assert [system.name for system in chosen_systems("s3_custom_cnn,s2")][:2] == ["s3_custom_cnn", "s2_hybrid"]
    assert all(system.roster for system in chosen_systems(None))
    with pytest.raises(RecipeError, match="did you mean s5_gated"):
        chosen_systems("s5_gate")
    assert protocols_named("sound,published") == ("published", "sound")
    with pytest.raises(RecipeError, match="published or sound"):
        protocols_named("loud")


def test_replication_is_exact() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], [50, 7, 1])
    rows = replicated(np.arange(58), target, 20, rng)
    assert np.bincount(target[rows]).tolist() == [20, 20, 20]
    times = np.bincount(rows, minlength=58)
    assert times[:50].max() == 1
    assert set(times[50:57]) == {2, 3}
    assert times[57] == 20


def test_division_by_row_keeps_every_row_and_every_share() -> None:
    target = np.repeat([0, 1], [60, 40])
    parts = by_row(np.arange(100), target, (0.7, 0.15, 0.15), np.random.default_rng(1))
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [np.bincount(target[part]).tolist() for part in parts] == [[42, 28], [9, 6], [9, 6]]
    kept = subset(np.arange(100), target, 50, np.random.default_rng(2))
    assert np.bincount(target[kept]).tolist() == [30, 20]


def test_published_protocols_leak_as_they_say_and_the_sound_one_does_not(
    place: Callable[..., Workspace], tmp_path: Path
) -> None:
    space = place("ham10000", tmp_path)
    cohort, rng = space.data.train, np.random.default_rng(3)
    s5 = s5_published(cohort, 60, rng)
    every = np.concatenate([s5.train, s5.validation, s5.test])
    assert np.bincount(cohort.target[every]).tolist() == [60] * 7
    assert s5.shared_rows > 0.5
    s3 = s3_published(cohort, 0, rng)
    assert s3.shared_rows == 0
    assert s3.validation is s3.test
    expected = np.mean([group in set(cohort.groups[s3.train]) for group in cohort.groups[s3.test]])
    assert s3.shared_lesions(cohort.groups) == pytest.approx(expected)
    assert expected > 0
    s4 = s4_published(cohort, 0, rng)
    sides = [set(cohort.groups[rows]) for rows in (s4.train, s4.validation, s4.test)]
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
    for system in (s for s in SYSTEMS if not s.two_stages):
        sound = divide(system, "sound", cohort, space.folds, told_columns("ham10000"), seed=1, fast=False)
        assert "dx_type" not in sound.columns
        for part in sound.parts:
            assert not set(cohort.groups[part.train]) & set(cohort.groups[part.test])
            counts = np.bincount(cohort.target[part.train])
            assert not system.balance or len(set(counts.tolist())) == 1
        assert sorted(np.concatenate([part.test for part in sound.parts])) == list(range(len(cohort.ids)))
    leaky = divide(
        chosen_systems("s5_gated")[0], "published", cohort, space.folds, told_columns("ham10000"), seed=1, fast=False
    )
    assert "dx_type" in leaky.columns


def test_figures_are_those_of_scikit_learn(place: Callable[..., Workspace], tmp_path: Path) -> None:
    cohort = place("ham10000", tmp_path).data.train
    rng = np.random.default_rng(4)
    rows = np.concatenate([np.arange(len(cohort.ids)), rng.integers(len(cohort.ids), size=30)])
    probability = rng.dirichlet(np.ones(7), size=len(rows)) + 0.3 * np.eye(7)[cohort.target[rows]]
    probability /= probability.sum(axis=1, keepdims=True)
    found = Scored(rows, probability, 0.0, 0.0, {}, "").figures(cohort, replicates=60, seed=5)
    target, named = cohort.target[rows], probability.argmax(axis=1)
    expected = {
        "accuracy": accuracy_score(target, named),
        "balanced_accuracy": balanced_accuracy_score(target, named),
        "auc": roc_auc_score(target, probability, multi_class="ovr", average="macro"),
        "average_precision": average_precision_score(np.eye(7)[target], probability, average="macro"),
        "f1": f1_score(target, named, average="macro"),
    }
    assert {name: one["estimate"] for name, one in found["scores"].items()} == pytest.approx(expected)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        assert found["scores"][name]["low"] < expected[name] < found["scores"][name]["high"]


def test_a_comparison_is_kept_and_printed(
    cli: Callable[..., Any], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both protocols, the table as markdown, and a second run that trains nothing."""
    changes = [word for change in SMALL for word in ("--set", change)]
    command = ("compare", "--recipe", "ham10000", "--run", tmp_path / "run", "--fast", "--systems", "s5_clinical")
    first = cli(*command, *changes, "--markdown", cache=cache)
    assert first.code == 0, first
    assert "| s5_clinical | Accuracy | 0.770 |" in first.out
    figures = json.loads((tmp_path / "run" / "systems.json").read_text())
    assert [one["protocol"] for one in figures["results"]] == ["published", "sound"]
    assert figures["results"][0]["shared_rows"] > 0.3 > figures["results"][1]["shared_rows"] == 0
    report = tmp_path / "run" / "systems" / "sound" / "s5_clinical" / "part_0" / "report.json"
    before = report.stat().st_mtime_ns
    assert cli(*command, *changes, cache=cache).code == 0
    assert report.stat().st_mtime_ns == before
    assert "s5_clinical" in (tmp_path / "run" / "systems.html").read_text()
    assert markdown(figures).startswith("| system |")
    assert summary_cells(figures)[1][0][2] == "0.770"


def test_compare_takes_runs_or_a_recipe(cli: Callable[..., Any]) -> None:
    answer = cli("compare")
    assert answer.code == 2
    assert "--recipe" in answer.err


def test_the_null_test_finds_the_copies(cli: Callable[..., Any], cache: Path, tmp_path: Path) -> None:
    """On dealt labels a look-up of seen images scores high by the published protocol, and chance by the sound one."""
    changes = [word for change in SMALL for word in ("--set", change)]
    command = ("compare", "--recipe", "ham10000", "--run", tmp_path / "run", "--fast", "--systems", "s5_clinical")
    answer = cli(*command, "--null", *changes, cache=cache)
    assert answer.code == 0, answer
    found = {(one["column"], one["protocol"]): one for one in json.loads((tmp_path / "run" / "null.json").read_text())}
    leak = found["look-up of seen images", "published"]
    accuracy = leak["tests"]["accuracy"]["columns"][0]
    assert accuracy["score"] > accuracy["chance_high"]
    assert accuracy["score"] >= leak["shared_rows"] - 1e-9
    assert found["look-up of seen images", "sound"]["shared_rows"] == 0


def test_the_look_up_knows_what_it_has_seen() -> None:
    target = np.array([0, 1, 1, 2])
    said = look_up(target, np.array([0, 1, 1]), np.array([1, 3]), 3)
    assert said == pytest.approx(np.array([[0, 1, 0], [1 / 3, 2 / 3, 0]]))


def test_pairing_follows_the_protocol_and_the_dealt_label(place: Callable[..., Workspace], tmp_path: Path) -> None:
    space = place("s2_hybrid", tmp_path, "data.pairing.method=by_label")
    pairing = space.recipe.data.pairing
    assert paired(pairing, "published").method == "by_label"
    assert paired(pairing, "sound").method == "at_random"
    assert pairing is not None
    assert paired(pairing.model_copy(update={"method": "table"}), "sound").method == "table"
    giver = np.random.default_rng(6).permutation(len(space.data.train.ids))
    again = paired_again(space.data, space.data, giver).train.table
    assert again["tcga_AGE"].to_list() == space.data.train.table["tcga_AGE"].gather(giver).to_list()
    assert again["age"].equals(space.data.train.table["age"])


def test_a_system_that_cannot_be_told_is_left_out() -> None:
    sites, clinical = chosen_systems("s4_site_branches,s5_clinical")
    assert unable(sites.network, ToldColumns(("age",))) == "the data set does not say where on the body a lesion is"
    assert unable(clinical.network, ToldColumns()) is not None
    assert why_not(sites, load_recipe("ph2")) is not None
    assert why_not(clinical, load_recipe("ham10000")) is None
    assert why_not(sites, load_recipe("tcga_skcm")) == "the data set has no images"


def test_both_stages_run_on_folds_by_image_and_by_lesion(
    place: Callable[..., Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from research.systems import two_stage
    from research.systems.two_stage import TwoStageJob

    monkeypatch.setattr(two_stage, "FAST_NETWORKS", (("own_mobilenetv2_scratch", Fast(32, 1, 0, 1e-3)),))
    monkeypatch.setattr(Workspace, "threads", 1)
    space = place("ham10000", tmp_path, "data.image_size=32")
    job = TwoStageJob(space, chosen_systems("s1")[0], "published", fast=True)
    scored = job.run(None, "both")
    assert len(scored.rows) == len(space.data.train.ids)
    assert np.isfinite(scored.probability).all()
    assert scored.probability.sum(axis=1) == pytest.approx(1)
    folds = pl.read_parquet(tmp_path / "s1_fusionnetx" / "folds.parquet")
    by_lesion = folds.with_columns(pl.Series("lesion", space.data.train.groups)).group_by("lesion")
    torn = by_lesion.agg(pl.col("fold").n_unique(), pl.len()).filter(pl.col("fold") > 1)
    assert scored.shared_lesions == pytest.approx(torn["len"].sum() / len(scored.rows))
    assert scored.shared_lesions > 0
