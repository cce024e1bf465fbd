"""Runs side by side: scores as the runs reported them, differences paired on the same lesions, recipes key by key."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort, Task
from data.files import fingerprint
from data.scores.scores import pauc
from pipeline.actions.opening import surroundings
from pipeline.comparison.figures import same_lesions
from pipeline.comparison.sides import open_side
from pipeline.step_reports import CHECKSUM
from tests.pipeline.test_report import Reader, resolve


def write_sealed(path: Path, report: dict[str, Any]) -> None:
    """Write a changed report with a checksum of its own that fits it."""
    kept = {key: value for key, value in report.items() if key != CHECKSUM}
    path.write_text(json.dumps({**kept, CHECKSUM: fingerprint(kept)}))


@pytest.fixture
def two_runs(finished_run: Path, ranks: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The finished run, and a copy of one that blends ranks."""
    return finished_run, shutil.copytree(ranks, tmp_path / "ranks")


def test_two_runs_side_by_side(two_runs: tuple[Path, Path], tmp_path: Path, cli: Callable[..., Any]) -> None:
    out = tmp_path / "both.html"
    answer = cli("compare", *two_runs, "--out", out)
    assert answer.code == 0, answer.err
    assert "tabular.blend.method 'mean' -> 'rank_mean'" in answer.out
    figures = json.loads(out.with_suffix(".json").read_text())
    assert [run["run"] for run in figures["runs"]] == ["tiny", "ranks"]
    assert figures["recipes"] == [{"run": "ranks", "changes": ["tabular.blend.method 'mean' -> 'rank_mean'"]}]
    assert figures["notes"] == []
    leads = {one["column"]: one for one in figures["differences"]}
    assert set(leads) == {"blend", "lightgbm_metadata", "lightgbm", "catboost", "xgboost", "narrow", "wide"}
    for part in ("cross_validated", "hidden_test"):
        assert leads["catboost"][part] == {"estimate": 0.0, "low": 0.0, "high": 0.0}
        assert leads["blend"][part]["low"] <= leads["blend"][part]["estimate"] <= leads["blend"][part]["high"]
    estimates = [run["columns"][0]["scores"]["pauc"]["estimate"] for run in figures["runs"]]
    assert leads["blend"]["cross_validated"]["estimate"] == pytest.approx(estimates[1] - estimates[0], abs=1e-12)
    reader = Reader(out.read_text())
    for pointer, spec, text in reader.figures:
        value = resolve(figures, pointer)
        assert text == ("–" if value is None else format(value, spec)), pointer
    assert len(reader.figures) > 60


def test_lesions_are_matched_by_id_not_by_place(
    two_runs: tuple[Path, Path], tmp_path: Path, cohort_dir: Path, cli: Callable[..., Any]
) -> None:
    """The second run's table is shuffled, its report kept true to the new file: nothing else may change."""
    from data.files import sha256_of

    first, second = two_runs
    assert cli("compare", first, second, "--out", tmp_path / "a.html").code == 0
    path = second / "tabular" / "oof.parquet"
    pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=1).write_parquet(path)
    report = json.loads((second / "tabular" / "report.json").read_text())
    report["artefacts"]["oof.parquet"] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_sealed(second / "tabular" / "report.json", report)
    assert cli("compare", first, second, "--out", tmp_path / "b.html").code == 0
    a, b = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert a["differences"] == b["differences"]
    shuffled = pl.read_parquet(path)
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    joined = table.join(shuffled, left_on="isic_id", right_on="lesion_id")
    reported = b["runs"][1]["columns"][0]["scores"]["pauc"]["estimate"]
    assert pauc(joined["target"].to_numpy(), joined["blend"].to_numpy()) == pytest.approx(reported, abs=1e-12)


def test_runs_of_other_lesions_are_not_paired(
    two_runs: tuple[Path, Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    first, second = two_runs
    for path in second.glob("tabular/*/fold_*/seed_*/report.json"):
        report = json.loads(path.read_text())
        report["inputs"]["train table"] = "another table"
        write_sealed(path, report)
    answer = cli("compare", first, second, "--out", tmp_path / "both.html")
    assert answer.code == 0, answer.err
    assert (
        "no paired difference, because the lesions of ranks are not at hand; name their folder with --data"
        in " ".join(answer.out.split())
    )
    figures = json.loads((tmp_path / "both.json").read_text())
    assert figures["differences"] == []
    assert len(figures["runs"]) == 2
    Reader((tmp_path / "both.html").read_text())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"id": ["b", "a", "c"], "patient": ["q", "p", "q"], "target": [0, 1, 0]}, True),
        ({"id": ["a", "b", "d"]}, False),
        ({"target": [1, 1, 0]}, False),
        ({"patient": ["p", "p", "q"]}, False),
    ],
)
def test_lesions_are_the_same_whatever_their_order(change: dict[str, Any], same: bool) -> None:
    task = Task("id", "patient", "target")
    plain: dict[str, Any] = {"id": ["a", "b", "c"], "patient": ["p", "q", "q"], "target": [1, 0, 0]}
    a, b = (Cohort(pl.DataFrame(columns), task, labelled=True) for columns in (plain, plain | change))
    assert same_lesions(a, b) is same


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{run}"], "needs two runs"),
        (["{run}", "{run}"], "named twice"),
        (["{run}", "nowhere/at/all"], "is not a run folder"),
        (["{run}", "{other}", "--out", "page.txt"], "must end in .html"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], says: str, finished_run: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    given = [one.format(run=finished_run, other=tmp_path) for one in arguments]
    answer = cli("compare", *given)
    assert answer.code == 2
    assert says in answer.err


def test_a_damaged_table_is_refused(run_copy: Path, finished_run: Path, cli: Callable[..., Any]) -> None:
    (run_copy / "tabular" / "oof.parquet").write_bytes(b"PAR1")
    answer = cli("compare", finished_run, run_copy)
    assert answer.code == 2
    assert "is damaged" in answer.err


def test_seconds_are_those_of_the_jobs(finished_run: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    side = open_side(str(finished_run), None, surroundings())
    jobs = [*finished_run.glob("oof/*/fold_?/report.json"), *finished_run.glob("oof/*/fold_?/test/report.json")]
    assert len(jobs) == 12
    by_hand = np.sum([json.loads(path.read_text())["seconds"] for path in jobs])
    assert side.seconds()["stage_one"] == pytest.approx(by_hand)
    assert side.run.invented
    assert side.inputs is not None
