"""Published systems: every one trains on its twin, a comparison is kept, the null test finds the copies."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.runtime import Runtime
from research.systems import two_stage
from research.systems.comparison import Comparison
from research.systems.null import look_up
from research.systems.registry import SYSTEMS, Fast, System, chosen_systems
from research.systems.run import result_of
from research.systems.table import markdown, summary_cells
from research.systems.two_stage import run_two_stages
from tests.research.conftest import SMALL, Place

TINY = Fast(image_size=32, epochs=1, rows=40)
LIGHTER = dict.fromkeys(("efficientnet_b4", "efficientnet_b0", "mobilenetv2_100", "dermi_resnet"), "lesion_net") | {
    "resnet18": "custom_cnn"
}
"""Backbones of the quick form; `FUSIONNETX_ALL_SYSTEMS=1` trains the published ones, in minutes."""
EVERYTHING = bool(os.environ.get("FUSIONNETX_ALL_SYSTEMS"))


def tiny(system: System) -> System:
    return dataclasses.replace(system, fast=TINY)


def trained() -> list[System]:
    """Every network of the roster; in the quick form none that is a larger backbone alone."""
    alone = ("densenet121", "efficientnet_b1")
    networks = [system for system in SYSTEMS if system.roster and not system.two_stages]
    return [system for system in networks if EVERYTHING or system.network.backbone not in alone]


@pytest.mark.parametrize("system", trained(), ids=lambda s: s.name)
def test_every_network_trains_on_its_twin(
    system: System, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    inputs, comparison = place(recipe, tmp_path), Comparison((tiny(system),), ("sound",), fast=True)
    result = result_of(inputs, inputs.runtime, comparison, tiny(system), "sound")
    for name in ("accuracy", "balanced_accuracy", "auc", "average_precision", "precision", "recall", "f1"):
        assert 0 <= result["scores"][name]["estimate"] <= 1
    assert result["shared_rows"] == result["shared_lesions"] == 0
    assert result["cost"]["parameters"] > 1000
    assert min(result["cost"][name] for name in ("megabytes", "ms_per_image", "seconds_per_epoch")) > 0


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


def test_both_stages_run_on_folds_by_image_and_by_lesion(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_stage, "FAST_NETWORKS", (("own_mobilenetv2_scratch", Fast(32, 1, 0, 1e-3)),))
    monkeypatch.setattr(Runtime, "threads", 1)
    inputs, (system,) = place("ham10000", tmp_path, "data.image_size=32"), chosen_systems("s1")
    scored = run_two_stages(inputs, system, "published", "both", fast=True)
    assert len(scored.rows) == len(inputs.data.train.ids)
    assert np.isfinite(scored.probability).all()
    assert scored.probability.sum(axis=1) == pytest.approx(1)
    folds = pl.read_parquet(tmp_path / "s1_fusionnetx" / "folds.parquet")
    by_lesion = folds.with_columns(pl.Series("lesion", inputs.data.train.groups)).group_by("lesion")
    torn = by_lesion.agg(pl.col("fold").n_unique(), pl.len()).filter(pl.col("fold") > 1)
    assert scored.shared_lesions == pytest.approx(torn["len"].sum() / len(scored.rows))
    assert scored.shared_lesions > 0
