"""What differs between two runs, and why."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from data.files import read_json
from pipeline.integrity.diff import diff_runs
from tests.forge import forge

pytestmark = pytest.mark.slow


def test_a_run_does_not_differ_from_its_copy(cli: Any, finished_run: Path, run_copy: Path):
    answer = cli("diff", finished_run, run_copy)
    assert answer.code == 0, answer
    assert answer.out == "the results are the same, byte for byte\n"


def test_a_changed_key_is_named_with_all_that_follows(cli: Any, finished_run: Path, other_catboost: Path):
    found = diff_runs(finished_run, other_catboost)
    assert found.recipe == ("tabular.members.catboost.iterations 10 -> 12",)
    assert found.surroundings == ()
    causes = {one.step: one.causes for one in found.steps}
    assert set(causes) == {
        *(f"member catboost, fold {k}, seed 42" for k in range(3)),
        "blend",
        "calibration",
        "submission",
    }
    assert causes["member catboost, fold 0, seed 42"] == ("member.iterations 10 -> 12",)
    assert "member catboost, fold 0, seed 42 (its content)" in causes["blend"]
    assert not any(one.unexplained for one in found.steps)
    names = {name for name, _, _ in found.scores}
    assert "cross_validated.members.catboost.pauc" in names
    assert "cross_validated.members.lightgbm.pauc" not in names
    answer = cli("diff", finished_run, other_catboost)
    assert answer.code == 1
    for words in ("iterations 10 -> 12", "Scores that differ", "cross_validated.members.blend.pauc"):
        assert words in answer.out


def report_of(run: Path) -> Path:
    return run / "tabular" / "xgboost" / "fold_1" / "seed_42" / "report.json"


def edit(path: Path, **facts: Any) -> None:
    forge(path, lambda report: report.update(facts))


def other_model(run: Path) -> None:
    artefacts = read_json(report_of(run))["artefacts"]
    edit(report_of(run), artefacts={**artefacts, "model.ubj": {"bytes": 1, "sha256": "0"}})


def test_a_difference_without_a_cause_is_called_so(cli: Any, finished_run: Path, run_copy: Path):
    other_model(run_copy)
    (one,) = diff_runs(finished_run, run_copy).steps
    assert one.unexplained
    assert one.files == ("tabular/xgboost/fold_1/seed_42/model.ubj",)
    assert "everything recorded is equal: this step is not reproducible" in cli("diff", finished_run, run_copy).out


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("versions", "xgboost", "0.1"), ("machine", "cores", 96), ("machine", "torch_threads", 48)],
)
def test_versions_and_threads_are_causes(finished_run: Path, run_copy: Path, part: str, key: str, value: Any):
    other_model(run_copy)
    report = read_json(report_of(run_copy))
    edit(report_of(run_copy), **{part: {**report[part], key: value}})
    found = diff_runs(finished_run, run_copy)
    (one,) = found.steps
    assert not one.unexplained
    assert len(one.causes) == 1
    assert one.causes[0].startswith(f"{part}.{key} ")
    assert one.causes[0].endswith(f" -> {value!r}")
    assert any(line.startswith(f"{part}.{key} ") for line in found.surroundings)


def test_another_version_that_changed_nothing_is_told_but_no_difference(finished_run: Path, run_copy: Path):
    edit(report_of(run_copy), versions={"xgboost": "0.1"})
    found = diff_runs(finished_run, run_copy)
    assert found.same_results
    assert any(line.startswith("versions.xgboost ") for line in found.surroundings)


def test_what_is_in_one_alone_is_named(cli: Any, finished_run: Path, run_copy: Path):
    shutil.rmtree(run_copy / "oof" / "wide" / "fold_2")
    found = diff_runs(finished_run, run_copy)
    assert set(found.only_left) == {"image model wide, fold 2", "image model wide, fold 2, test lesions"}
    assert found.only_right == ()
    assert cli("diff", finished_run, run_copy).code == 1


def test_what_is_no_run_is_refused(cli: Any, finished_run: Path, tmp_path: Path):
    answer = cli("diff", finished_run, tmp_path)
    assert answer.code == 2
    assert "is not a run folder" in answer.err
