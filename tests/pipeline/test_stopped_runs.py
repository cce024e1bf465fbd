"""A run that is stopped again and again ends with the bytes of one that nobody stopped."""

import json
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.errors import Interrupted
from pipeline.display import Display
from tests.folders import results, written

pytestmark = pytest.mark.slow


class StopAfter:
    """Stands in for a user who asks to stop at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted(143)


@pytest.mark.parametrize("looks", [9])
def test_a_run_stopped_again_and_again_ends_with_the_same_bytes(
    cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int
):
    run = tmp_path / "stopped"
    codes, saved = [], 0
    while not codes or codes[-1] == 143:
        monkeypatch.setattr(Display, "check_stop", StopAfter(looks))
        answer = cli("submission", "--recipe", tiny_recipe, "--run", run)
        codes.append(answer.code)
        saved += len(list(run.glob("oof/*/*/last.*")))
        assert answer.code in (0, 143), answer
        assert len(codes) < 60
    assert codes.count(143) >= 3
    assert saved > 0, "no stop fell into the middle of a training"
    assert results(run) == results(finished_run)
    assert not list(run.rglob("last.*"))


def test_sigterm_stops_with_143_and_the_same_command_goes_on(
    start: Any, cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path
):
    run = tmp_path / "stopped"
    process = start("submission", "--recipe", tiny_recipe, "--run", run)
    for line in process.stdout:
        if line.startswith("[1/6]"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    assert not (run / "submission.csv").exists()
    trained = written(run)
    answer = cli("submission", "--recipe", tiny_recipe, "--run", run)
    assert answer.code == 0, answer
    assert results(run) == results(finished_run)
    assert written(run)["oof/narrow/fold_0/report.json"] == trained["oof/narrow/fold_0/report.json"]


def metadata_only(raw: dict[str, Any]) -> None:
    raw["image_models"] = []
    raw["tabular"]["members"] = raw["tabular"]["members"][:1]
    raw["tabular"]["tune"] = {
        "trials": 3,
        "spaces": {"lightgbm": {"num_leaves": {"low": 2, "high": 31}, "learning_rate": {"low": 0.01, "high": 0.3}}},
    }


def test_tuning_goes_on_where_it_stopped_and_says_both_figures(
    cli: Any, variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = variant(metadata_only)
    whole = cli("tabular", "--recipe", recipe, "--run", tmp_path / "whole" / "tiny")
    assert whole.code == 0, whole
    assert "tuning of lightgbm_metadata, fold 2: best of 3 trials, pAUC 0." in whole.out
    folder = tmp_path / "whole" / "tiny" / "tabular" / "lightgbm_metadata"
    for fold in ("fold_0", "fold_1", "fold_2"):
        found = json.loads((folder / "tuning" / fold / "tuning.json").read_text())
        fitted = json.loads((folder / fold / "seed_42" / "report.json").read_text())
        assert fitted["settings"]["member"] == found["member"]
        assert found["reestimate"] is None

    codes = []
    while not codes or codes[-1] == 143:
        monkeypatch.setattr(Display, "check_stop", StopAfter(12))
        answer = cli("tabular", "--recipe", recipe, "--run", tmp_path / "stopped" / "tiny")
        codes.append(answer.code)
        assert answer.code in (0, 143), answer
        assert len(codes) < 20
    assert codes.count(143) >= 1
    assert results(tmp_path / "stopped" / "tiny") == results(tmp_path / "whole" / "tiny")
    trials = [
        pl.read_parquet(tmp_path / name / "tiny/tabular/lightgbm_metadata/tuning/fold_1/trials.parquet")
        for name in ("stopped", "whole")
    ]
    assert trials[0].drop("seconds").equals(trials[1].drop("seconds"))
