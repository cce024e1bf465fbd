"""Folders and files of one step in the place of another, whole in themselves: named, and made again in their place."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from data.files import read_json
from pipeline.integrity.records import content, differences
from tests.forge import forge, vouch

pytestmark = pytest.mark.slow
MEMBERS = ("lightgbm_metadata", "lightgbm", "catboost", "xgboost")


def swap(one: Path, other: Path) -> None:
    """Each gets the name of the other."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.fixture
def turned(run_copy: Path) -> Path:
    """A finished run whose boosters of folds 0 and 1 have changed places, reports and all."""
    for member in MEMBERS:
        swap(run_copy / "tabular" / member / "fold_0", run_copy / "tabular" / member / "fold_1")
    return run_copy


def test_verify_names_both_folds_and_a_command_that_heals(cli: Any, turned: Path, finished_run: Path):
    answer = cli("verify", "--run", turned)
    assert answer.code == 1
    for member in MEMBERS:
        for here, there in ((0, 1), (1, 0)):
            found = f"member {member}, fold {here}, seed 42: its folder holds what member {member}, fold {there}"
            assert found in answer.out
    command = re.search(r"^ +fusionnetx (.*)$", answer.out, re.MULTILINE)
    assert command is not None
    healed = cli(*command[1].split())
    assert healed.code == 0, healed
    assert "4 of 12 boosters are done, 8 to fit" in healed.out
    assert "its folder holds what member lightgbm, fold 1, seed 42 wrote" in healed.out
    assert "all 6 fold models are done" in healed.out
    assert cli("verify", "--run", turned).code == 0
    assert differences(content(finished_run), content(turned)) == []
    assert (turned / "submission.csv").read_bytes() == (finished_run / "submission.csv").read_bytes()


def test_nobody_is_predicted_by_them(cli: Any, turned: Path, cohort_dir: Path, tmp_path: Path):
    """The mean over all folds would be the same; that it is so is no reason to trust such a folder."""
    answer = cli(
        *("predict", "--run", turned, "--out", tmp_path / "out.csv"),
        *("--metadata", cohort_dir / "test-metadata.csv", "--images", cohort_dir / "test-image.hdf5"),
    )
    assert answer.code == 2
    assert "is not finished or not whole" in answer.err
    assert "tabular/lightgbm_metadata/fold_0/seed_42" in answer.err
    assert not (tmp_path / "out.csv").exists()


def test_fold_models_in_each_others_place_are_named(cli: Any, run_copy: Path):
    swap(run_copy / "oof" / "narrow" / "fold_0", run_copy / "oof" / "narrow" / "fold_2")
    answer = cli("verify", "--run", run_copy)
    assert answer.code == 1
    for here, there in ((0, 2), (2, 0)):
        assert f"image model narrow, fold {here}: its folder holds what image model narrow, fold {there}" in answer.out


@pytest.mark.parametrize("of_fold", ["tabular/catboost/fold_{}/seed_42", "oof/narrow/fold_{}"])
def test_predictions_of_another_fold_are_refused_even_when_their_report_vouches_for_them(
    cli: Any, run_copy: Path, of_fold: str
):
    folders = [run_copy / of_fold.format(fold) for fold in (0, 1)]
    swap(*(folder / "predictions.parquet" for folder in folders))
    for folder in folders:
        vouch(folder / "report.json", "predictions.parquet")
    answer = cli("submission", "--run", run_copy)
    assert answer.code == 2, answer
    assert str(folders[0] / "predictions.parquet") in answer.err
    assert "is about other lesions than those" in answer.err
    assert "delete its folder" in answer.err
    for folder in folders:
        shutil.rmtree(folder)
    assert cli("submission", "--run", run_copy).code == 0


@pytest.mark.parametrize("of_fold", ["features/fold_{}", "oof/narrow/fold_{}", "tabular/lightgbm/fold_{}/seed_42"])
@pytest.mark.parametrize("with_data", [False, True])
def test_the_printed_command_heals_folds_that_were_swapped_with_the_names_in_their_reports(
    cli: Any, run_copy: Path, finished_run: Path, cohort_dir: Path, of_fold: str, with_data: bool
):
    folders = [run_copy / of_fold.format(fold) for fold in (0, 1)]
    reports = [path.relative_to(folders[0]) for path in folders[0].rglob("report.json")]
    names = [[read_json(folder / path)["step"] for path in reports] for folder in folders]
    swap(*folders)
    for folder, own in zip(folders, names, strict=True):
        for path, name in zip(reports, own, strict=True):
            forge(folder / path, lambda report, name=name: report.update(step=name))
    data = ("--data", cohort_dir) if with_data else ()
    answer = cli("verify", "--run", run_copy, *data)
    assert answer.code == 1
    assert len(re.findall(r"^damaged: .*and its report vouches for it$", answer.out, re.MULTILINE)) == 2 * len(reports)
    command = re.search(r"^  rm (.*) && fusionnetx (.*)$", answer.out, re.MULTILINE)
    assert command is not None
    for path in shlex.split(command[1]):
        Path(path).unlink()
    healed = cli(*shlex.split(command[2]))
    assert healed.code == 0, healed
    assert cli("verify", "--run", run_copy).code == 0
    assert differences(content(finished_run), content(run_copy)) == []


@pytest.mark.parametrize(
    ("of_fold", "consumer"), [("oof/narrow/fold_{}", "oof"), ("tabular/lightgbm/fold_{}/seed_42", "tabular")]
)
def test_predictions_about_other_lesions_are_named_without_the_data_and_without_a_consumer(
    cli: Any, run_copy: Path, of_fold: str, consumer: str
):
    folders = [run_copy / of_fold.format(fold) for fold in (0, 1)]
    swap(*(folder / "predictions.parquet" for folder in folders))
    for folder in folders:
        vouch(folder / "report.json", "predictions.parquet")
    for report in (f"{consumer}/report.json", "submission.json"):
        (run_copy / report).unlink()
    answer = cli("verify", "--run", run_copy)
    for fold in (0, 1):
        assert re.search(rf"damaged: .*, fold {fold}.*about other lesions than those of fold {fold}", answer.out)
