"""Damaged runs x the verbs that read them: no traceback, no hang, nothing outside touched, nothing wrong in silence.

A few attempts of each kind here; `make attack` makes FUSIONNETX_ATTACK of them, and goes on where it was stopped.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from tests.attack import runs
from tests.attack.account import Kept, table, troubled
from tests.attack.damage import DAMAGES, forged, other_value
from tests.attack.runs import Attempt, Ground, attempts, commands, kinds_of_file, made, made_patiently
from tests.attack.unfinished import STATES, searching, stopped_in_a_search, stopped_in_training

COUNT = int(os.environ.get("FUSIONNETX_ATTACK", "0"))
SEED = int(os.environ.get("FUSIONNETX_ATTACK_SEED", "0"))
QUICK = {"verify": 12, "plan": 6, "runs": 6, "diff": 6, "predict": 6, "report": 3, "submission": 3, "compare": 3}
"""How many of each verb `make test` tries; those that take seconds less often."""


@pytest.fixture
def ground(
    cli: Callable[..., Any], finished_run: Path, cohort_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ground:
    lesion = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)["isic_id"][0]
    scratch = tmp_path / "scratch"
    finished = shutil.copytree(finished_run, tmp_path / "sound" / "tiny")
    table, images = cohort_dir / "test-metadata.csv", cohort_dir / "test-image.hdf5"

    def command(words: list[str]) -> Any:
        scratch.mkdir(exist_ok=True)
        monkeypatch.chdir(scratch)
        answer = cli(*words)
        monkeypatch.chdir(tmp_path)
        return answer

    found = Ground(finished, table, images, lesion, command, scratch)
    sound = ["predict", "--run", str(finished), "--metadata", str(table), "--images", str(images)]
    assert cli(*sound, "--out", finished.parent / "predicted.csv").code == 0
    return found


@pytest.fixture
def stopped(
    ground: Ground, cli: Callable[..., Any], variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Ground]:
    """By the verb that goes on: a run stopped in training, and one stopped in its searches."""
    training = stopped_in_training(ground.finished, tmp_path / "stopped" / "tiny", cli, monkeypatch)
    searched = tmp_path / "searched" / "tiny"
    assert cli("tabular", "--recipe", variant(searching), "--run", searched).code == 0
    search = stopped_in_a_search(searched, tmp_path / "killed" / "tiny")
    return {
        "submission": replace(ground, finished=training, whole=ground.finished),
        "tabular": replace(ground, finished=search, whole=searched),
    }


@pytest.mark.skipif(COUNT > 0, reason="the whole campaign is made instead")
def test_damaged_states_and_journals_end_in_the_same_bytes_or_a_message(stopped: dict[str, Ground]) -> None:
    outcomes = [
        made(attempt, ground)
        for verb, ground in stopped.items()
        for attempt in attempts(ground.finished, [verb], SEED, only=STATES)
        if attempt.damage.name in ("flipped", "cut", "misplaced", "pipe")
    ]
    assert len(outcomes) == 8
    assert troubled(outcomes) == []


@pytest.mark.skipif(COUNT > 0, reason="the whole campaign is made instead")
@pytest.mark.parametrize("verb", QUICK)
def test_damaged_runs_are_handled(verb: str, ground: Ground) -> None:
    outcomes = [made(attempt, ground) for attempt in attempts(ground.finished, [verb], SEED, QUICK[verb])]
    assert troubled(outcomes) == []


@pytest.mark.skipif(COUNT == 0, reason="set FUSIONNETX_ATTACK to a number of attempts (make attack)")
@pytest.mark.timeout(0)
def test_the_whole_campaign(ground: Ground, stopped: dict[str, Ground], capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept(Path(os.environ.get("FUSIONNETX_ATTACK_LOG", "attack.jsonl")).absolute())
    done = kept.done()
    of_states = [
        (attempt, of)
        for verb, of in stopped.items()
        for attempt in attempts(of.finished, [verb], SEED, COUNT // 10, only=STATES)
    ]
    of_files = attempts(ground.finished, list(commands(ground)), SEED, COUNT - len(of_states))
    for attempt, of in [*of_states, *((one, ground) for one in of_files)]:
        if str(attempt) not in done:
            kept.add(made_patiently(attempt, of))
    with capsys.disabled():
        print(f"\n{table(kept.done())}")  # noqa: T201
    assert [attempt for attempt, trouble in kept.done().items() if trouble] == []


@pytest.mark.parametrize(
    ("file", "damage", "verb"),
    [
        ("tabular/oof.parquet", "gone", "report"),
        ("tabular/report.json", "pipe", "verify"),
        ("oof/report.json", "deep", "diff"),
        ("tabular/report.json", "outside_name, forged", "verify"),
        ("submission.json", "grown", "runs"),
        ("oof/oof.parquet", "pipe", "compare"),
        ("tabular/xgboost/fold_0/seed_42/report.json", "other_value, forged", "report"),
    ],
)
def test_what_was_not_handled_once(file: str, damage: str, verb: str, ground: Ground) -> None:
    found = next(one for one in DAMAGES if one.name == damage)
    # The value that this seed chooses is NaN.
    outcome = made(Attempt(file, found, verb, 1220353946), ground)
    assert outcome.trouble == "", outcome


def test_the_campaign_covers_every_file_every_damage_and_every_verb(ground: Ground) -> None:
    every = attempts(ground.finished, list(commands(ground)), 0)
    assert {attempt.verb for attempt in every} == set(commands(ground))
    assert {attempt.damage.name for attempt in every} == {damage.name for damage in DAMAGES}
    assert len({attempt.file for attempt in every}) >= len(kinds_of_file(ground.finished))
    assert len(every) > 3000
    assert every[:50] == attempts(ground.finished, list(commands(ground)), 0, 50)


def test_an_attack_that_works_is_noticed(ground: Ground) -> None:
    """The judge itself: a command that hangs, blames itself, or writes something else."""

    def answering(code: int, said: str) -> Ground:
        class Answer:
            out, err = said, ""

        answer = Answer()
        answer.code = code  # type: ignore[attr-defined]
        return Ground(ground.finished, ground.table, ground.images, "x", lambda _words: answer, ground.scratch)  # type: ignore[arg-type,return-value]

    attempt = attempts(ground.finished, ["verify"], 0, 1)[0]
    assert made(attempt, answering(1, "this is a fault of FusionNetX")).trouble == "exit code 1"
    assert made(attempt, answering(2, "Traceback (most recent")).trouble == "a traceback"
    assert made(attempt, answering(2, "error: damaged")).trouble == ""
    with pytest.raises(KeyboardInterrupt):  # somebody stopped the campaign: no outcome is kept
        made(attempt, answering(143, "stopped"))


def test_what_took_too_long_is_tried_once_more_with_more_time(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a verb may be slow; what hangs hangs twice."""
    import time

    monkeypatch.setattr(runs, "SECONDS", 1)
    monkeypatch.setattr(runs, "PATIENT_SECONDS", 2)
    attempt = attempts(ground.finished, ["verify"], 0, 1)[0]
    waits = iter((30.0, 0.0))

    def slow_once(words: list[str]) -> Any:
        time.sleep(next(waits, 30.0))
        return ground.command(words)

    slow = replace(ground, command=slow_once)
    assert made_patiently(attempt, slow).trouble == ""
    assert made_patiently(attempt, slow).trouble == "hung"


def test_a_stopped_campaign_goes_on(tmp_path: Path, ground: Ground) -> None:
    kept = Kept(tmp_path / "attack.jsonl")
    outcome = made(attempts(ground.finished, ["runs"], 0, 1)[0], ground)
    kept.add(outcome)
    with kept.path.open("a") as file:
        file.write('["cut o')
    assert kept.done() == {str(outcome.attempt): ""}
    assert "| `runs` | 1 | 1 |" in table(kept.done())


def test_forged_damage_keeps_the_checksums_in_step(run_copy: Path) -> None:
    from pipeline.step import read_step_report

    report = run_copy / "tabular" / "report.json"
    before = read_step_report(report)
    usable = 0
    for seed in range(20):
        shutil.copy(run_copy / "oof" / "report.json", report)
        forged(other_value)(report, Random(seed))
        usable += read_step_report(report) is not None
    assert before is not None
    assert usable > 0
