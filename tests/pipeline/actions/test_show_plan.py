"""`plan` says of every step whether it is done, stale and why, missing, or waits for another."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
EDGE = re.compile(r'^  "(.+)" -> "(.+)";$', re.MULTILINE)
NODE = re.compile(r'^  "(.+)" \[fillcolor=(\w+)\];$', re.MULTILINE)


@pytest.fixture
def looked(cli: Any, run_copy: Path) -> Any:
    """`plan --json` of a copy of the finished run: the steps by name."""

    def steps() -> dict[str, dict[str, Any]]:
        answer = cli("plan", "--run", run_copy, "--json")
        assert answer.code == 0, answer
        found = json.loads(answer.out)
        assert found["run"] == str(run_copy)
        assert found["invented"] is True
        return {step["name"]: step for step in found["steps"]}

    return steps


def others_than_done(steps: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {name: (step["state"], step["reason"]) for name, step in steps.items() if step["state"] != "done"}


def test_a_finished_run_is_done(cli: Any, finished_run: Path, looked: Any):
    steps = looked()
    assert len(steps) == 32
    assert others_than_done(steps) == {}
    assert all(step["seconds"] >= 0 and step["expected_seconds"] is None for step in steps.values())
    answer = cli("plan", "--run", finished_run)
    assert answer.code == 0, answer
    assert f"{finished_run}: 32 of 32 steps are done" in answer.out
    for words in ("image models (6 of 6 done)", "boosters (12 of 12 done)", "member catboost, fold 2, seed 42: done"):
        assert words in answer.out


def test_every_step_names_what_it_needs_and_what_it_wrote(looked: Any, run_copy: Path):
    steps = looked()
    for step in steps.values():
        assert set(step["needs"]) <= steps.keys()
        for name in step["artefacts"]:
            assert (run_copy / step["folder"] / name).is_file()
    assert steps["folds"]["needs"] == []
    assert steps["out-of-fold table"]["needs"] == [
        name for name, step in steps.items() if step["kind"] in ("fold model", "test lesions")
    ]
    assert steps["member lightgbm_metadata, fold 0, seed 42"]["needs"] == ["folds"]
    assert steps["member lightgbm, fold 0, seed 42"]["needs"] == ["folds", "out-of-fold table"]


def test_a_missing_report_is_missing_and_what_needs_it_waits(looked: Any, run_copy: Path):
    (run_copy / "oof" / "narrow" / "fold_1" / "report.json").unlink()
    steps = looked()
    found = others_than_done(steps)
    assert found["image model narrow, fold 1"] == ("missing", "not run yet")
    assert {name: state for name, (state, _) in found.items()} == {
        "image model narrow, fold 1": "missing",
        "image model narrow, fold 1, test lesions": "waits",
        "out-of-fold table": "waits",
    }
    assert steps["image model narrow, fold 1"]["seconds"] is None
    alike = [steps[f"image model narrow, fold {fold}"]["seconds"] for fold in (0, 2)]
    assert steps["image model narrow, fold 1"]["expected_seconds"] == pytest.approx(sum(alike) / 2)


def test_a_changed_key_is_stale_and_named(cli: Any, looked: Any, run_copy: Path):
    recipe = run_copy / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('method = "mean"', 'method = "rank_mean"'))
    found = others_than_done(looked())
    assert found == {"blend": ("stale", found["blend"][1])}
    assert "'mean' -> 'rank_mean'" in found["blend"][1]
    assert "blend: stale" in cli("plan", "--run", run_copy).out


def test_a_damaged_artefact_is_stale_and_named(looked: Any, run_copy: Path):
    (run_copy / "tabular" / "xgboost" / "fold_2" / "seed_42" / "model.ubj").write_bytes(b"x")
    found = others_than_done(looked())
    assert set(found) == {"member xgboost, fold 2, seed 42"}
    state, reason = found["member xgboost, fold 2, seed 42"]
    assert state == "stale"
    assert "model.ubj is damaged (1 bytes instead of" in reason


def test_the_graph_has_the_edges_of_the_plan(cli: Any, looked: Any, run_copy: Path):
    (run_copy / "tabular" / "report.json").unlink()
    steps = looked()
    answer = cli("plan", "--run", run_copy, "--dot")
    assert answer.code == 0, answer
    assert answer.out.startswith("digraph plan {\n")
    assert answer.out.endswith("}\n")
    assert dict(NODE.findall(answer.out)).keys() == steps.keys()
    colours = {"done": "palegreen", "missing": "white", "waits": "lightgrey", "stale": "khaki"}
    assert dict(NODE.findall(answer.out)) == {name: colours[step["state"]] for name, step in steps.items()}
    assert steps["blend"]["state"] == "missing"
    assert sorted(EDGE.findall(answer.out)) == sorted(
        (needed, name) for name, step in steps.items() for needed in step["needs"]
    )


def test_one_form_at_a_time(cli: Any, run_copy: Path):
    assert cli("plan", "--run", run_copy, "--dot", "--json").code == 2
