"""`predict --model`: a network alone is the mean of its stored fold models, of a table and of one image."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import torch

import fusionnetx as fnx
from data.images.decode import decode
from image_models.networks.model_file import load_model
from image_models.training.augment import prepare
from pipeline.run import Run


@pytest.fixture
def ask(cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path) -> Any:
    """Ask `wide` about the test table; gives the answer and what was written."""

    def run(*options: object, run: Path = finished_run, model: str = "wide", images: Path | None = None) -> Any:
        table = ["--metadata", cohort_dir / "test-metadata.csv", "--images", images or cohort_dir / "test-image.hdf5"]
        answer = cli("predict", "--run", run, "--model", model, *table, "--out", tmp_path / "a.csv", *options)
        return answer, pl.read_csv(tmp_path / "a.csv") if (tmp_path / "a.csv").exists() else None

    return run


def test_a_table_without_stage_two(ask: Any, run_copy: Path):
    for name in ("tabular", "features"):
        shutil.rmtree(run_copy / name)
    answer, found = ask(run=run_copy)
    assert answer.code == 0, answer
    assert found.columns == ["isic_id", "malignant"]
    folds = [
        pl.read_parquet(run_copy / "oof" / "wide" / f"fold_{k}" / "test" / "predictions.parquet") for k in range(3)
    ]
    assert all(one["lesion_id"].to_list() == found["isic_id"].to_list() for one in folds)
    np.testing.assert_allclose(found["malignant"], np.mean([one["malignant"] for one in folds], axis=0), atol=1e-7)


def test_one_image(cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    with h5py.File(cohort_dir / "test-image.hdf5") as file:
        name = list(file)[3]
        content = bytes(file[name][()])
    (tmp_path / f"{name}.jpg").write_bytes(content)
    answer = cli(
        *("predict", "--run", finished_run, "--model", "wide", "--image", tmp_path / f"{name}.jpg"),
        *("--out", tmp_path / "a.parquet"),
    )
    assert answer.code == 0, answer
    recipe = next(one for one in Run.open(finished_run).recipe.image_models if one.name == "wide")
    pixels = prepare(torch.from_numpy(decode(content, 32)[None]), recipe.input_size)
    with torch.inference_mode():
        by_hand = [
            float(torch.sigmoid(load_model(path, recipe, 2).eval()(pixels, None)))
            for path in sorted(finished_run.glob("oof/wide/fold_?/model.safetensors"))
        ]
    assert len(by_hand) == 3
    [(lesion, probability)] = pl.read_parquet(tmp_path / "a.parquet").rows()
    assert (lesion, probability) == (name, pytest.approx(np.mean(by_hand), abs=1e-6))
    assert f"malignant {probability:.4g}" in answer.out


def test_a_lesion_without_its_image_is_left_empty(ask: Any, cohort_dir: Path, tmp_path: Path):
    images = shutil.copy(cohort_dir / "test-image.hdf5", tmp_path / "fewer.hdf5")
    with h5py.File(images, "r+") as file:
        gone = next(iter(file))
        del file[gone]
    answer, found = ask(images=images)
    assert answer.code == 0, answer
    assert found.filter(pl.col("malignant").is_null())["isic_id"].to_list() == [gone]


def test_in_a_notebook(finished_run: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    run = fnx.open_run(finished_run, quiet=True)
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    found = run.predict(table, cohort_dir / "test-image.hdf5", model="narrow")
    stored = pl.read_parquet(finished_run / "oof" / "test.parquet")
    np.testing.assert_allclose(found["malignant"], stored["narrow"], atol=1e-7)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "wde", "--image", "x.jpg"], "no image model 'wde'; did you mean 'wide'?; it has narrow, wide"),
        (["--model", "wide", "--image", "nowhere.jpg"], "--image nowhere.jpg: nowhere.jpg cannot be read"),
        (["--model", "wide", "--image", "text.jpg"], "--image text.jpg: not a JPEG"),
        (["--model", "wide", "--tell", "sex=male"], "wide sees images: give one with --image"),
        (["--model", "wide", "--image", "x.jpg", "--tell", "sex=male"], "it is told nothing but the image"),
        (["--image", "x.jpg"], "give --model with them"),
        (["--model", "wide"], "give the lesions with --metadata"),
        (["--model", "wide", "--metadata", "a.csv", "--out", "b.csv", "--plain"], "leave out --plain"),
        (["--metadata", "a.csv"], "the file to write with --out"),
    ],
)
def test_what_is_refused(
    cli: Any, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
):
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no picture")
    answer = cli("predict", "--run", finished_run, *options)
    assert answer.code == 2
    assert words in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["text.jpg"]
