"""Every benchmark runs, on little: what it measures is not judged here."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.runtime import Runtime

LITTLE = {
    "audit_false_alarms": "--tables 1",
    "bootstrap": "--lesions 20000 --replicates 20",
    "decision_hidden": "--run {run}",
    "large_table": "--rows 2000 --batch 1000",
    "network_choices": "--recipe {recipe} --data {data} --model narrow --splits 1 --folds 2 "
    "--way falls image_models[narrow].cosine_steps=0 --way climbs image_models[narrow].cosine_steps=1 "
    'image_models[narrow].after_cosine="cycle"',
    "pack": "--images 40 --size 32 --workers 1",
    "predict_rows": "--run {run} --rows 20",
    "stage_two_boosters": "--rows 12000 --features 8 --image-features 2 --folds 2 --trials 0 --threads 1",
    "stage_two_choices": "--lesions 600 --seeds 1 --without catboost --only mean",
    "stage_two_features": "--lesions 1500",
    "stage_two_members": "--run {run}",
}
ELSEWHERE = {"stage_one", "scale", "page_soak", "page_tables", "synthetic_quartiles"}
"""Tested beside what they measure, by tests of their own."""
LONG = {"evidence_at_scale", "stage_two_rivals"}
"""Half a minute and more even on little: they are run by hand."""
PARTS = {"__init__", "entry", "measuring"}
"""What benchmarks import."""


def test_every_benchmark_is_known_here():
    there = {path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py")}
    assert there - PARTS == LITTLE.keys() | ELSEWHERE | LONG


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", LITTLE)
def test_a_benchmark_runs(
    name: str, finished_run: Path, tiny_recipe: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(Runtime, "threads", 1)
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    little = LITTLE[name].format(run=finished_run, recipe=tiny_recipe, data=cohort_dir)
    monkeypatch.setattr(sys, "argv", [name, *little.split()])
    import_module(f"benchmarks.{name}").main()
    assert capsys.readouterr().out.strip()
