"""The comparison of two checkouts' results finds what differs and nothing else; and a checkout is run as it wants."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from data.files import read_json, write_json
from tests import same_bytes
from tests.damage import alter, edit
from tests.same_bytes import WHAT, compare, entry_point, main, show, small_changes


@pytest.fixture
def sides(finished_run: Path, cohort_dir: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same results twice; the folder of the cohort has another name on each side."""
    folders = tmp_path / "here", tmp_path / "there"
    for folder in folders:
        shutil.copytree(finished_run, folder / "run")
        shutil.copytree(cohort_dir, folder / "cache" / f"synthetic-{folder.name}")
    return folders


def different(sides: tuple[Path, Path]) -> dict[str, tuple[str, ...]]:
    return {row.what: row.different for row in compare(*sides) if row.different}


def test_equal_results_are_equal_and_none_is_overlooked(sides: tuple[Path, Path]):
    rows = compare(*sides)
    assert {row.what: row.same for row in rows} == {
        "synthetic cohort": 6, "folds": 1, "image models": 6, "what image models say": 12, "out-of-fold tables": 4,
        "encoders": 3, "boosters": 12, "what boosters say": 12, "blend": 1, "submission": 1, "scores": 1,
    }  # fmt: skip
    assert different(sides) == {}


def last_byte(path: Path) -> None:
    edit(path, lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]))


def in_json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        told = read_json(path)
        change(told)
        write_json(path, told)

    return apply


def score(told: dict[str, Any]) -> None:
    told["cross_validated"]["members"]["blend"]["pauc"]["estimate"] += 1e-9


@pytest.mark.parametrize(
    ("what", "name", "change"),
    [
        ("synthetic cohort", "cache/synthetic/train-metadata.csv", alter),
        ("synthetic cohort", "cache/synthetic/test-image.hdf5", alter),
        ("folds", "run/folds.parquet", alter),
        ("image models", "run/oof/wide/fold_1/model.safetensors", last_byte),
        ("what image models say", "run/oof/narrow/fold_0/test/predictions.parquet", alter),
        ("out-of-fold tables", "run/oof/test.parquet", alter),
        ("out-of-fold tables", "run/tabular/test.parquet", alter),
        ("encoders", "run/features/fold_2/encoder.json", alter),
        ("boosters", "run/tabular/catboost/fold_1/seed_42/model.cbm", alter),
        ("what boosters say", "run/tabular/xgboost/fold_0/seed_42/predictions.parquet", alter),
        ("blend", "run/tabular/blend.json", in_json(lambda told: told.update(method="other"))),
        ("submission", "run/submission.csv", alter),
        ("scores", "run/metrics.json", in_json(score)),
    ],
)  # fmt: skip
def test_every_difference_is_found_and_named(
    sides: tuple[Path, Path], what: str, name: str, change: Callable[[Path], object]
):
    change(sides[1] / name.replace("/synthetic/", "/synthetic-there/"))
    assert different(sides) == {what: (f"{name} differs",)}


def test_what_only_one_side_has_is_named(sides: tuple[Path, Path]):
    (sides[0] / "run" / "tabular" / "lightgbm" / "fold_0" / "seed_42" / "model.txt").unlink()
    (sides[1] / "run" / "submission.csv").unlink()
    assert different(sides) == {
        "boosters": ("run/tabular/lightgbm/fold_0/seed_42/model.txt is only there",),
        "submission": ("run/submission.csv is only here",),
    }


def test_times_versions_and_spellings_are_no_difference(sides: tuple[Path, Path]):
    run = sides[1] / "run"
    in_json(lambda told: told.update(submission="another", recipe="other words", report={}))(run / "metrics.json")
    in_json(lambda told: told.update(seconds=99.0, fingerprint="x"))(run / "oof" / "report.json")
    weights = run / "oof" / "narrow" / "fold_0" / "model.safetensors"
    whole = weights.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    header["__metadata__"] = {"fusionnetx": "in other words"}
    said = json.dumps(header).encode()
    weights.write_bytes(len(said).to_bytes(8, "little") + said + whole[8 + size :])
    assert different(sides) == {}


def test_the_table_says_how_many_and_which(sides: tuple[Path, Path], tmp_path: Path):
    alter(sides[1] / "run" / "submission.csv")
    with (tmp_path / "page.txt").open("w") as page:
        show(compare(*sides), "abc123", Console(file=page, width=120))
    said = (tmp_path / "page.txt").read_text()
    assert all(what in said for what in WHAT)
    assert "  run/submission.csv differs\n" in said
    assert said.endswith("not the same\n")


def test_a_checkout_is_run_as_it_wants(tmp_path: Path):
    assert entry_point(same_bytes.ROOT) == "fusionnetx"
    assert "folds.count=3" in small_changes(same_bytes.ROOT)
    (tmp_path / "pipeline" / "commands").mkdir(parents=True)
    for name in ("__init__.py", "commands/__init__.py"):
        (tmp_path / "pipeline" / name).touch()
    (tmp_path / "pipeline" / "commands" / "trust.py").write_text('SMALL = ("a=1",)\n')
    assert entry_point(tmp_path) == "pipeline"
    assert small_changes(tmp_path) == ["a=1"]


@pytest.mark.skipif(not (same_bytes.ROOT / ".git").exists(), reason="needs the repository")
def test_the_exit_code_says_what_became_of_it(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """With a demo that takes no time."""

    def copied(checkout: Path, folder: Path, small: bool) -> None:
        shutil.copytree(sides[0 if folder.name == "here" else 1], folder)

    monkeypatch.setattr(same_bytes, "run_demo", copied)
    assert main(["HEAD", "--small"]) == 0
    assert "every result is the same, byte for byte" in capsys.readouterr().out
    alter(sides[1] / "run" / "submission.csv")
    assert main(["HEAD"]) == 1
    assert main(["no-such-commit"]) == 2
    assert "error: no-such-commit is no commit of this repository" in capsys.readouterr().out
