"""`fusionnetx export`: a folder that predicts the same without the training data, and as ONNX without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.export.package import sampled
from tests.conftest import Once, run_in_process

pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")

WITHOUT_TORCH = """
import sys
from importlib.machinery import ModuleSpec

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "timm", "torchvision", "captum"):
            return ModuleSpec(name, self)
    def create_module(self, spec):
        raise ImportError(f"{spec.name} is blocked")
    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Blocked())
from fusionnetx.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def exported(once: Once, finished_run: Path, cohort_dir: Path) -> Path:
    """The finished run as ONNX, and what the command said."""

    def make(folder: Path) -> None:
        command = ["export", "--run", str(finished_run), "--onnx", "--out", str(folder / "onnx")]
        answer = run_in_process(command, cache=cohort_dir.parent)
        assert answer.code == 0, answer
        (folder / "said.txt").write_text(answer.out)

    return once("exported", make) / "onnx"


def test_an_export_predicts_without_torch_what_the_run_said(
    exported: Path, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    words = ["predict", "--run", exported, "--metadata", cohort_dir / "test-metadata.csv"]
    words += ["--images", cohort_dir / "test-image.hdf5", "--out", tmp_path / "answers.csv"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    answers = pl.read_csv(tmp_path / "answers.csv")
    submitted = pl.read_csv(finished_run / "submission.csv")
    assert answers["isic_id"].to_list() == submitted["isic_id"].to_list()
    # Boosters cut at values: a score of an image that differs in its seventh digit may fall on the other side of a cut.
    assert (answers["score"] - submitted["target"]).abs().max() < 1e-3
    assert answers["probability"].is_between(0, 1).all()


def test_one_network_of_an_export_is_asked_alone(
    cli: Any, exported: Path, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    given = ["--metadata", cohort_dir / "test-metadata.csv", "--images", cohort_dir / "test-image.hdf5"]
    answer = cli("predict", "--run", exported, "--model", "wide", *given, "--out", tmp_path / "a.parquet")
    assert answer.code == 0, answer
    stored = pl.read_parquet(finished_run / "oof" / "test.parquet")["wide"]
    assert (pl.read_parquet(tmp_path / "a.parquet")["malignant"] - stored).abs().max() < 1e-6


def test_nothing_of_the_training_lesions_travels(exported: Path, cohort_dir: Path):
    names = {path.name for path in exported.rglob("*")}
    assert "model.onnx" in names
    assert {"model.txt", "model.cbm", "model.ubj"} <= names
    assert {"card.md", "card.html", "bom.json"} <= {path.name for path in (exported / "card").iterdir()}
    assert "# Model card: tiny" in (exported / "card" / "card.md").read_text()
    assert not [name for name in names if name.endswith((".parquet", ".safetensors"))]
    ids = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)["isic_id"].to_list()
    for path in (one for one in exported.rglob("*") if one.suffix in (".json", ".md", ".html", ".toml")):
        text = path.read_text()
        assert not [one for one in ids if one in text], path
        assert str(cohort_dir) not in text


def test_what_was_lost_is_measured_and_said(exported: Path, finished_run: Path):
    facts = json.loads((exported / "export.json").read_text())
    assert facts["form"] == "onnx"
    metrics = json.loads((finished_run / "metrics.json").read_text())["cross_validated"]["image_models"]
    said = (exported.parent / "said.txt").read_text()
    for name in ("narrow", "wide"):
        one = facts["image_models"][name]
        assert one["before"] == pytest.approx(metrics[name]["pauc"]["estimate"])
        assert one["difference"] < 1e-5
        assert f"{name}: pauc" in said


@pytest.mark.slow
@pytest.mark.parametrize(("form", "most"), [("half", 0.01), ("int8", 0.2)])
def test_smaller_forms_are_smaller_and_near(
    cli: Any, exported: Path, finished_run: Path, tmp_path: Path, form: str, most: float,
    caplog: pytest.LogCaptureFixture,
):  # fmt: skip
    answer = cli("export", "--run", finished_run, "--onnx", f"--{form}", "--out", tmp_path / form)
    assert answer.code == 0, answer
    assert not [one.message for one in caplog.records if one.name == "root"]
    facts = json.loads((tmp_path / form / "export.json").read_text())["image_models"]
    for name, one in facts.items():
        assert 0 < one["difference"] < most
        assert f"{name}: pauc {one['before']:.4f} as trained, {one['after']:.4f} as {form}" in answer.out
    networks = [path.relative_to(exported) for path in exported.rglob("*.onnx")]
    assert networks
    for network in networks:
        assert (tmp_path / form / network).stat().st_size < (exported / network).stat().st_size


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--half"], "give --onnx as well"),
        (["--onnx", "--half", "--int8"], "exclude each other"),
        (["--out", "."], "no folder of its own"),
    ],
)
def test_what_is_refused(cli: Any, finished_run: Path, tmp_path: Path, options: list[str], words: str):
    out = [] if "--out" in options else ["--out", tmp_path / "x"]
    answer = cli("export", "--run", finished_run, *options, *out)
    assert (answer.code, list(tmp_path.iterdir())) == (2, [])
    assert words in answer.err


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_it_cannot_be_trained(cli: Any, exported: Path, tiny_recipe: Path, options: list[str]):
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    for named in ([], ["--recipe", tiny_recipe]):
        answer = cli("submission", *named, "--run", exported, *options)
        assert answer.code == 2
        assert "was exported from a run to predict" in answer.err
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before


def test_a_damaged_network_is_named(cli: Any, exported: Path, cohort_dir: Path, tmp_path: Path):
    import shutil

    broken = shutil.copytree(exported, tmp_path / "broken")
    path = broken / "oof" / "wide" / "fold_1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    answer = cli(
        "predict", "--run", broken, "--metadata", cohort_dir / "test-metadata.csv", "--out", tmp_path / "a.csv"
    )
    assert answer.code == 2
    assert "oof/wide/fold_1/model.onnx is damaged" in answer.err
    assert not (tmp_path / "a.csv").exists()


def test_patients_with_malignant_lesions_are_asked_first():
    import numpy as np

    groups = np.array(["a", "a", "b", "c", "c", "c"])
    target = np.array([0, 0, 1, 0, 0, 0])
    assert sampled(target, groups, 3).tolist() == [0, 1, 2]
    assert sampled(target, groups, 100).tolist() == [0, 1, 2, 3, 4, 5]
    assert sampled(target, groups, 1).tolist() == [2]
