"""The Kaggle bundle: its notebook, run in a fresh environment without a network, gives the run's own submission."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.readers.isic2024 import read_competition
from pipeline import new_images
from pipeline.actions.opening import surroundings
from pipeline.actions.predict import finished_plan
from pipeline.kaggle.notebook import MARKER, code_of, kernel_metadata, notebook
from pipeline.new_images import image_columns
from pipeline.run import Run
from tests.conftest import run_in_process

TEST_FILES = ("test-metadata.csv", "test-image.hdf5", "sample_submission.csv")


@pytest.fixture(scope="module")
def bundle(finished_run: Path, cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "kaggle"
    command = ["kaggle", "--run", str(finished_run), "--out", str(out), "--no-download", "--user", "someone"]
    answer = run_in_process(command, cache=cohort_dir.parent)
    assert answer.code == 0, answer
    assert "500,000 lesions on this machine" in answer.out
    assert "wheels of captum, simplejpeg were not fetched" in answer.out
    return out


@pytest.mark.slow
def test_the_notebook_gives_the_submission_of_the_run_without_a_network(
    bundle: Path, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    inputs = tmp_path / "input"
    shutil.copytree(bundle / "dataset", inputs / "fusionnetx-tiny-models")
    competition = inputs / "isic-2024-challenge"
    competition.mkdir()
    for name in TEST_FILES:
        shutil.copy(cohort_dir / name, competition)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    # What Kaggle's image has, pip included, is taken from here; the project itself comes out of the bundle.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    book = json.loads((bundle / "kernel" / "submission.ipynb").read_text())
    program = tmp_path / "notebook.py"
    program.write_text(
        code_of(book).replace("/kaggle/input", str(inputs)) + "\nimport pipeline; print(pipeline.__file__)"
    )
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    offline = ["unshare", "--net"] if can_unshare() else []
    answer = subprocess.run(
        [*offline, str(environment / "bin" / "python"), str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**variables, "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert str(environment) in answer.stdout.splitlines()[-1]
    ours, theirs = pl.read_csv(tmp_path / "submission.csv"), pl.read_csv(finished_run / "submission.csv")
    assert ours["isic_id"].equals(theirs["isic_id"])
    # Networks and boosters are the same; a batch of another width may round differently in its last bit.
    np.testing.assert_allclose(ours["target"].to_numpy(), theirs["target"].to_numpy(), rtol=0, atol=1e-9)


def can_unshare() -> bool:
    tried = (
        subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    return tried is not None and tried.returncode == 0


def test_the_bundle_holds_what_the_competition_needs_and_no_lesion(bundle: Path):
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {f"dataset/{MARKER}", "dataset/dataset-metadata.json", "kernel/kernel-metadata.json"} <= names
    assert any(name.startswith("dataset/wheels/fusionnetx-") for name in names)
    assert {f"dataset/card/{name}" for name in ("card.md", "card.html", "bom.json")} <= names
    assert not [name for name in names if name.endswith((".hdf5", ".jpg", ".csv", ".db"))]
    kernel = json.loads((bundle / "kernel" / "kernel-metadata.json").read_text())
    data = json.loads((bundle / "dataset" / "dataset-metadata.json").read_text())
    assert kernel["dataset_sources"] == [data["id"]] == ["someone/fusionnetx-tiny-models"]
    assert kernel["enable_internet"] == "false"
    assert kernel["code_file"] == "submission.ipynb"
    assert set(kernel) == set(kernel_metadata("a", "b", "c", "d"))


def test_the_notebook_is_a_notebook():
    book = notebook("A title", ["fusionnetx", "simplejpeg"])
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert [cell["cell_type"] for cell in book["cells"]] == ["markdown", "code", "code", "code"]
    assert len({cell["id"] for cell in book["cells"]}) == 4
    compile(code_of(book), "notebook", "exec")


def test_submit_reads_the_three_public_rows_and_needs_no_training_table(
    finished_run: Path, cohort_dir: Path, tmp_path: Path, cli
):
    import h5py

    few = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False).head(3)
    few.write_csv(tmp_path / "test-metadata.csv")
    with h5py.File(cohort_dir / "test-image.hdf5") as whole, h5py.File(tmp_path / "test-image.hdf5", "w") as part:
        for lesion in few["isic_id"]:
            part.create_dataset(lesion, data=whole[lesion][()])
    out = tmp_path / "submission.csv"
    answer = cli("submit", "--run", str(finished_run), "--data", str(tmp_path), "--out", str(out))
    assert answer.code == 0, answer
    whole_run = pl.read_csv(finished_run / "submission.csv")
    found = pl.read_csv(out)
    assert found["isic_id"].to_list() == few["isic_id"].to_list()
    assert found["target"].is_between(0, 1).all()
    assert set(found["isic_id"]) <= set(whole_run["isic_id"])


def test_a_folder_that_is_there_is_left_alone(finished_run: Path, tmp_path: Path, cli):
    (tmp_path / "kaggle").mkdir()
    answer = cli("kaggle", "--run", str(finished_run), "--out", str(tmp_path / "kaggle"))
    assert answer.code == 2
    assert "already there" in answer.err


def test_images_by_blocks_are_the_images_at_once(finished_run: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch):
    finished, here = finished_plan(Run.open(finished_run)), surroundings()
    data = finished.run.recipe.data
    (cohort, source, _), _ = read_competition(cohort_dir)
    at_once = image_columns(finished.fold_models, data, here, cohort, source)
    monkeypatch.setattr(new_images, "BLOCK_BYTES", 7 * data.image_size**2 * 3)
    by_blocks = image_columns(finished.fold_models, data, here, cohort, source)
    assert at_once["lesion_id"].equals(by_blocks["lesion_id"])
    for name in at_once.columns[1:]:
        np.testing.assert_allclose(at_once[name].to_numpy(), by_blocks[name].to_numpy(), rtol=0, atol=1e-6)
