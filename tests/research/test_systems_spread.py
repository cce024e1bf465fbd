"""Published systems as jobs of a cluster score what they score in one process."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from research.systems.registry import chosen_systems
from research.systems.run import Comparison, run_systems
from tests.pipeline.execute.one_worker import OneWorker

SMALL = ("data.twin.lesions=60", "data.twin.image_side=33", "resources.image_model_cpus=1", "folds.count=3")


def test_a_comparison_of_systems_by_orders_is_one_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Runtime, "threads", 1)
    monkeypatch.chdir(Path.cwd())  # jobs change the working folder
    chosen = Comparison(chosen_systems("s5_clinical,s3_custom_cnn"), fast=True)

    def compared(name: str, executor: Any) -> list[dict[str, Any]]:
        display = Display(Console(file=io.StringIO(), width=200))
        runtime = Runtime(display, executor, tmp_path / "cache", tmp_path / "weights")
        inputs = Inputs(Run.of(load_recipe("ham10000", SMALL), tmp_path / name), runtime)
        results: list[dict[str, Any]] = run_systems(inputs, runtime, chosen)["results"]
        assert [(r["system"], r["protocol"]) for r in results] == [
            (system.name, protocol) for system in chosen.systems for protocol in ("published", "sound")
        ]
        return [r["scores"] for r in results]

    worker = OneWorker(forgetful=True)
    assert compared("spread", worker) == compared("here", LocalExecutor())
    assert len(worker.done) == 2
