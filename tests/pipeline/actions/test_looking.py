"""Verbs that look leave a run as it was, byte for byte, and make no folder for a run that is not there."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.recipe import load_recipe
from tests.folders import bytes_of

pytestmark = pytest.mark.slow

LOOKS: dict[str, tuple[str, ...]] = {
    "report": ("report", "--run", "tiny"),
    "verify": ("verify", "--run", "tiny"),
    "verify with data": ("verify", "--run", "tiny", "--data", "{data}"),
    "diff": ("diff", "tiny", "other"),
    "explain": ("explain", "--run", "tiny", "--lesion", "{lesion}", "--out", "{out}/sheets"),
    "compare": ("compare", "tiny", "other", "--out", "{out}/compare.html"),
    "plan": ("plan", "--run", "tiny"),
    "plan as JSON": ("plan", "--run", "tiny", "--json"),
    "plan as a graph": ("plan", "--run", "tiny", "--dot"),
    "runs": ("runs",),
    "predict": (
        *("predict", "--run", "tiny", "--metadata", "{data}/test-metadata.csv", "--out", "{out}/predicted.csv"),
        *("--images", "{data}/test-image.hdf5"),
    ),
    "submit": ("submit", "--run", "tiny", "--data", "{data}", "--out", "{out}/submission.csv"),
    "features": ("features", "--run", "tiny"),
    "every feature": ("features", "--run", "tiny", "--describe"),
    "dry run": ("oof", "--run", "tiny", "--dry-run"),
    "dry run of another recipe": ("oof", "--run", "tiny", "--dry-run", "--recipe", "demo", "--data", "{data}"),
    "augmentations": ("show-augmentations", "--run", "tiny", "--out", "{out}/sheet.png"),
}
CHANGED = {"report": {"report.html", "metrics.json"}}
"""What a verb may write into the run folder."""
NEEDS_A_RUN = ("report", "verify", "diff", "explain", "compare", "plan", "plan as JSON", "predict", "submit")
TAKES_NONE = ("features", "every feature", "dry run", "augmentations")
"""These look at a recipe just as well; the run only says which."""


@pytest.fixture
def runs(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two finished runs of a recipe that is not the default one, which is where the user stands."""
    assert load_recipe(str(finished_run / "recipe.toml")) != load_recipe("demo")
    folder = tmp_path / "here" / "runs"
    for name in ("tiny", "other"):
        shutil.copytree(finished_run, folder / name)
    monkeypatch.chdir(folder.parent)
    return folder


def command(look: str, cohort_dir: Path, out: Path) -> list[str]:
    """The words of a look."""
    out.mkdir(exist_ok=True)
    lesion = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)["isic_id"][0]
    return [word.format(data=cohort_dir, out=out, lesion=lesion) for word in LOOKS[look]]


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_changes_no_byte_of_a_finished_run(cli: Any, runs: Path, cohort_dir: Path, tmp_path: Path, look: str):
    but = {".lock", *CHANGED.get(look, set())}
    before = bytes_of(runs.parent, but)
    answer = cli(*command(look, cohort_dir, tmp_path / "out"))
    assert answer.code == 0, answer
    assert bytes_of(runs.parent, but) == before
    assert sorted(path.name for path in runs.parent.iterdir()) == ["runs"]
    whole = cli("verify", "--run", "tiny")
    assert whole.code == 0, whole.out


@pytest.mark.parametrize("look", NEEDS_A_RUN)
def test_a_run_that_is_not_there_is_not_made_by_looking(
    cli: Any, cohort_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    answer = cli(*command(look, cohort_dir, tmp_path / "out"))
    assert answer.code == 2, answer
    assert "runs/tiny is not a run folder" in answer.err
    assert list(here.iterdir()) == []
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("look", TAKES_NONE)
def test_a_look_at_a_recipe_makes_no_run(
    cli: Any, cohort_dir: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    answer = cli(*command(look, cohort_dir, tmp_path / "out"), "--recipe", tiny_recipe)
    assert answer.code == 0, answer
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("verb", ["ablation", "audit", "kaggle"])
def test_a_study_of_a_run_that_is_not_there_makes_none(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
):
    monkeypatch.chdir(tmp_path)
    answer = cli(verb, "--run", "tiny")
    assert answer.code == 2, answer
    assert "runs/tiny is not a run folder" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "verb", ["report", "ablation", "audit", "verify", "explain", "diff", "kaggle", "plan", "predict"]
)
def test_a_verb_that_looks_takes_no_recipe(cli: Any, finished_run: Path, tiny_recipe: Path, verb: str):
    before = bytes_of(finished_run)
    for option in (("--recipe", tiny_recipe), ("--set", "seed=1")):
        answer = cli(verb, "--run", finished_run, *option)
        assert answer.code == 2, answer
    assert bytes_of(finished_run) == before
