"""`fusionnetx tabular` twice on one study in a real PostgreSQL, as two machines would run it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tabular.tuning.study import quiet
from tabular.tuning.trial_claims import WORKER, claims_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
pytest.importorskip("psycopg", reason="needs the extra [cluster]")
TRIALS = 8


def metadata_alone(raw: dict[str, Any]) -> None:
    raw["image_models"] = []
    raw["features"]["families"] = ["published", "colour", "patient_z"]
    raw["tabular"]["members"] = [{**raw["tabular"]["members"][0], "iterations": 40}]
    raw["tabular"]["tune"] = {
        "scope": "shared",
        "trials": TRIALS,
        "startup_trials": 4,
        "workers": 2,
        "prune_p": 0.0,
        "spaces": {"lightgbm": {"learning_rate": {"low": 0.02, "high": 0.3, "log": True}}},
    }


def test_two_commands_search_one_study_and_find_the_same(server, start, variant, cohort_dir: Path, tmp_path: Path):
    recipe: Path = variant(metadata_alone)
    url: str = server.new_database("night")
    runs = [tmp_path / machine / "night" for machine in ("one", "other")]
    began: Callable[..., Any] = start
    commands = [
        began("tabular", "--recipe", recipe, "--data", cohort_dir, "--run", run, "--storage", url) for run in runs
    ]
    answers = [command.communicate(timeout=300) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], answers

    with quiet():
        done = claims_of(server.study(url))
    assert [trial.state for trial in done] == [TrialState.COMPLETE] * TRIALS
    hands = Counter(trial.user_attrs[WORKER] for trial in done)
    assert set(hands) == {worker for worker in hands if worker.endswith(tuple(f":{c.pid}" for c in commands))}
    assert len(hands) == 2, f"one of them did everything: {hands}"
    found = [sorted(path.relative_to(run) for path in run.rglob("*.parquet")) for run in runs]
    assert found[0] == found[1]
    models = [sorted(run.rglob("*.txt")) for run in runs]
    assert len(models[0]) > 0
    for one, other in zip(*models, strict=True):
        assert one.read_bytes() == other.read_bytes()
