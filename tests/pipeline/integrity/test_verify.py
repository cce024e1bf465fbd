"""A check of every byte of a run: each kind of damage is found and named, with the command that repairs it."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.files import read_json, write_json
from pipeline.actions.opening import surroundings
from pipeline.inputs import Inputs
from pipeline.integrity.verify import Verdict, verify_run
from pipeline.run import Run
from tests.forge import forge, vouch

pytestmark = pytest.mark.slow


def flip(path: Path) -> None:
    """One bit, the size as it was."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture
def judge() -> Callable[..., Verdict]:
    """Check a run, against a folder of data where one is given."""

    def verdict(folder: Path, data: Path | None = None) -> Verdict:
        here, run = surroundings(), Run.open(folder)
        return verify_run(run, here, None if data is None else Inputs(run.derive(data_dir=data), here))

    return verdict


def found(verdict: Verdict) -> set[tuple[str, str]]:
    return {(finding.state, finding.step) for finding in verdict.findings}


def test_a_finished_run_is_whole_without_its_data(cli: Any, finished_run: Path, tmp_path: Path):
    answer = cli("verify", "--run", finished_run, cache=tmp_path / "no cache")
    assert answer.code == 0, answer
    assert "is whole: 32 steps" in answer.out
    assert "only checked with --data" in answer.out
    assert "the cache holds no pack of the training images" in answer.out
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(finished_run: Path, judge: Any, cohort_dir: Path):
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    judge(finished_run)
    judge(finished_run, cohort_dir)
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before


@pytest.mark.parametrize(
    ("name", "step", "verb"),
    [
        ("folds.parquet", "folds", "oof"),
        ("oof/wide/fold_1/model.safetensors", "image model wide, fold 1", "oof"),
        ("oof/wide/fold_1/test/predictions.parquet", "image model wide, fold 1, test lesions", "oof"),
        ("oof/test.parquet", "out-of-fold table", "oof"),
        ("features/fold_2/encoder.json", "encoder of fold 2", "tabular"),
        ("tabular/xgboost/fold_0/seed_42/model.ubj", "member xgboost, fold 0, seed 42", "tabular"),
        ("tabular/blend.json", "blend", "tabular"),
        ("submission.csv", "submission", "submission"),
    ],
)
@pytest.mark.parametrize("damage", [flip, lambda path: os.truncate(path, 10), Path.unlink], ids=["bit", "cut", "gone"])
def test_every_damage_is_found_and_the_repair_named(
    judge: Any, run_copy: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str, verb: str, damage: Any
):
    monkeypatch.setattr("pipeline.step_reports.CHECKSUM_ON_SKIP_BYTES", 0)  # as if every file were a large one
    damage(run_copy / name)
    verdict = judge(run_copy)
    assert found(verdict) == {("damaged", step)}
    (finding,) = verdict.findings
    assert Path(name).name in finding.reason
    assert finding.verb == verb


def test_the_repair_that_is_named_repairs(cli: Any, run_copy: Path, cohort_dir: Path):
    flip(run_copy / "tabular" / "lightgbm" / "fold_1" / "seed_42" / "model.txt")
    (run_copy / "oof" / "narrow" / "fold_1" / "report.json").unlink()
    answer = cli("verify", "--run", run_copy)
    assert answer.code == 1
    assert "missing: image model narrow, fold 1" in answer.out
    assert "damaged: member lightgbm, fold 1, seed 42: model.txt" in answer.out
    command = re.search(r"^ +fusionnetx (.*)$", answer.out, re.MULTILINE)
    assert command is not None
    assert cli(*command[1].split()).code == 0
    assert cli("verify", "--run", run_copy).code == 0


def test_what_needs_a_missing_step_is_blocked_and_a_stopped_one_unfinished(judge: Any, run_copy: Path):
    (run_copy / "oof" / "narrow" / "fold_0" / "report.json").unlink()
    (run_copy / "oof" / "wide" / "fold_0" / "report.json").write_text("{")
    (run_copy / "oof" / "narrow" / "fold_0" / "last.safetensors").write_bytes(b"x")
    assert found(judge(run_copy)) == {
        ("unfinished", "image model narrow, fold 0"),
        ("damaged", "image model wide, fold 0"),
        ("blocked", "image model narrow, fold 0, test lesions"),
        ("blocked", "image model wide, fold 0, test lesions"),
        ("blocked", "out-of-fold table"),
    }


def test_a_recipe_that_went_on_makes_steps_stale(judge: Any, run_copy: Path):
    recipe = run_copy / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('method = "mean"', 'method = "rank_mean"'))
    verdict = judge(run_copy)
    assert found(verdict) == {("stale", "blend")}
    assert "'mean'" in verdict.findings[0].reason
    assert "rank_mean" in verdict.findings[0].reason


def test_a_step_made_anew_makes_what_follows_stale(judge: Any, run_copy: Path):
    """As when one fold was copied in from another run, with a report that is right for it."""
    folder = run_copy / "oof" / "wide" / "fold_2"
    flip(folder / "predictions.parquet")
    vouch(folder / "report.json", "predictions.parquet")
    verdict = judge(run_copy)
    assert found(verdict) == {("stale", "out-of-fold table")}
    assert "wide, fold 2 (its content)" in verdict.findings[0].reason


def test_other_data_make_everything_stale(judge: Any, run_copy: Path, cohort_dir: Path, tmp_path: Path):
    assert judge(run_copy, cohort_dir).ok
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in cohort_dir.iterdir():
        (changed / path.name).symlink_to(path)
    table = (changed / "train-metadata.csv").read_text()
    (changed / "train-metadata.csv").unlink()
    (changed / "train-metadata.csv").write_text(table + "\n")
    verdict = judge(run_copy, changed)
    assert {state for state, _ in found(verdict)} == {"stale"}
    assert ("stale", "folds") in found(verdict)
    assert "train table (its content)" in verdict.findings[0].reason


@pytest.mark.parametrize(
    ("report", "step", "column"),
    [
        ("tabular/report.json", "blend", "blend"),
        ("oof/report.json", "out-of-fold table", "wide"),
        ("submission.json", "submission", "blend"),
        ("oof/wide/fold_1/report.json", "image model wide, fold 1", None),
    ],
)
def test_a_forged_score_is_computed_again(
    report: str, step: str, column: str | None, judge: Any, run_copy: Path, cohort_dir: Path
):
    def better(facts: dict[str, Any]) -> None:
        scores = facts["scores"]["private"] if report == "submission.json" else facts["scores"]
        (scores if column is None else scores[column])["pauc"]["estimate"] = 0.19

    forge(run_copy / report, better)
    finding = next(one for one in judge(run_copy, cohort_dir).findings if one.step == step)
    assert finding.state == "damaged"
    assert re.search(r"computed again: scores.*pauc is 0\.\d+, not 0\.19", finding.reason)


def test_a_forged_column_is_computed_again(judge: Any, run_copy: Path, cohort_dir: Path):
    path = run_copy / "tabular" / "oof.parquet"
    table = pl.read_parquet(path)
    table.with_columns(blend=1 - pl.col("blend")).write_parquet(path)
    vouch(run_copy / "tabular" / "report.json", "oof.parquet")
    reasons = {one.step: one.reason for one in judge(run_copy, cohort_dir).findings}
    assert reasons["blend"].startswith("computed again: oof.parquet: blend is not what its models said, ")


def test_metrics_of_another_submission(judge: Any, run_copy: Path):
    metrics = read_json(run_copy / "metrics.json")
    write_json(run_copy / "metrics.json", {**metrics, "submission": "another"})
    assert found(judge(run_copy)) == {("stale", "metrics.json")}
    (run_copy / "metrics.json").unlink()
    assert found(judge(run_copy)) == {("missing", "metrics.json")}


def test_what_is_no_use_is_noted(judge: Any, run_copy: Path):
    (run_copy / "oof" / "narrow").rename(run_copy / "oof" / "other")
    verdict = judge(run_copy)
    assert any("are of no use to this recipe" in note and "oof/other/fold_0" in note for note in verdict.notes)


def test_a_damaged_pack_in_the_cache_is_found(cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    cache = shutil.copytree(cohort_dir.parent, tmp_path / "cache")
    assert cli("verify", "--run", finished_run, cache=cache).code == 0
    pack = next(cache.glob("[0-9a-f]*/images.npy"))
    flip(pack)
    answer = cli("verify", "--run", finished_run, cache=cache)
    assert answer.code == 1
    assert re.search(r"damaged: pack of the (training|test) images: .*do not match their checksum", answer.out)


def test_a_folder_without_steps_is_no_run_to_check(cli: Any, tmp_path: Path, tiny_recipe: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text(tiny_recipe.read_text())
    answer = cli("verify", "--run", tmp_path / "run")
    assert answer.code == 2
    assert "has no finished step to check" in answer.err
