"""Work taken over from another run: only the same and whole work, and never written in place."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.ablation.made import adopt, link_all
from pipeline.actions.opening import surroundings
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.step import Step, Work


def test_refitting_a_variant_leaves_the_files_of_the_run(
    studied: Path, tmp_path: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared files are replaced, never written: the run keeps its own when a variant changes its mind."""
    run = shutil.copytree(studied, tmp_path / "tiny")
    variant = run / "ablation" / "metadata_advanced"
    shared = "tabular/lightgbm_metadata/fold_0/seed_42"
    for name in ("report.json", "predictions.parquet"):
        (variant / shared / name).unlink()
        (variant / shared / name).hardlink_to(run / shared / name)
    before = (run / shared / "predictions.parquet").read_bytes()
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    changed = load_recipe(str(variant / "recipe.toml"), ["tabular.members[0].iterations=3"])
    here = surroundings()
    make(Inputs(Run.open(variant).derive(recipe=changed), here), here, "tabular")
    assert (variant / shared / "predictions.parquet").read_bytes() != before
    assert (run / shared / "predictions.parquet").read_bytes() == before
    assert (run / shared / "report.json").is_file()


def test_only_the_same_and_whole_work_is_taken_over(tmp_path: Path) -> None:
    def run(name: str) -> Run:
        return Run.of(load_recipe("demo"), tmp_path / name)

    def step(of: str, setting: int, name: str = "work") -> Step:
        return Step("work", (), name, tmp_path / of / "work", Work(), {"setting": setting})

    done = step("a", 1)
    attempt = done.begin()
    (done.folder / "result").write_text("whole")
    attempt.finish(["result"])
    assert adopt(step("same", 1), run("a"), run("same"))
    assert (tmp_path / "same" / "work" / "result").samefile(done.folder / "result")
    assert not adopt(step("other", 2), run("a"), run("other"))
    assert not (tmp_path / "other" / "work" / "report.json").exists()
    assert not adopt(step("misplaced", 1, "other work"), run("a"), run("misplaced"))
    (done.folder / "result").write_text("whole, but longer")
    assert not adopt(step("late", 1), run("a"), run("late"))


def test_a_folder_that_cannot_share_files_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.ablation import made

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")

    def refuse(*_: Any) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(made.os, "link", refuse)
    link_all(tmp_path / "a", tmp_path / "b", ["x", "missing"])
    assert (tmp_path / "b" / "x").read_text() == "1"
    assert not (tmp_path / "b" / "x").samefile(tmp_path / "a" / "x")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["x"]
