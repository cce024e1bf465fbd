"""Stage one with metadata, frozen networks and many classes, from published files to probabilities of new patients."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from data.cohort import Cohort
from data.images.decode import decode
from image_models.predict import load_model, predict
from image_models.training.augment import prepare
from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.make import make, make_batch
from pipeline.plan import plan_of
from pipeline.recipe import parse_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.fold_model import WEIGHTS, fold_model_of, predictions_of
from pipeline.steps.lesions import training_lesions
from pipeline.steps.metadata import with_stored_metadata

TOLD = {"columns": ["age_approx", "sex", "anatom_site_general"], "widths": [8]}
MODELS: dict[str, dict[str, Any]] = {
    "sites": {
        "backbone": "lesion_net", "second_backbone": "lesion_net", "second_image_size": 48, "metadata": TOLD,
        "fusion": "site_branches", "site_column": "anatom_site_general", "sampling": "weighted", "optimiser": "adam",
    },
    "frozen": {
        "backbone": "lesion_net", "frozen": True, "metadata": {"columns": ["age_approx"], "widths": [4]}, "epochs": 4,
        "select": "best", "schedule": "plateau", "stop_after": 2, "inner_share": 0.3, "plateau_patience": 0,
    },
    "alone": {"backbone": "none", "metadata": {"columns": ["age_approx", "tbp_lv_areaMM2"], "widths": [8]}},
}  # fmt: skip
COMMON = {"pretrained": "none", "image_size": 32, "hidden": 4, "epochs": 1, "learning_rate": 3e-3, "precision": "fp32"}


def with_models(*names: str, **changes: Any) -> Any:
    """A change of the tiny recipe: these models, and boosters kept to one."""

    def change(raw: dict[str, Any]) -> None:
        raw["image_models"] = [{"name": name, **COMMON, **MODELS[name], **changes} for name in names]
        raw["tabular"]["members"] = [member for member in raw["tabular"]["members"] if member["name"] == "lightgbm"]

    return change


@pytest.fixture
def submitted(cli, variant, tmp_path) -> Any:
    """A finished run of some of the models."""

    def run(*names: str, **changes: Any) -> tuple[Path, Path]:
        recipe, folder = variant(with_models(*names, **changes)), tmp_path / "run"
        answer = cli("submission", "--recipe", recipe, "--run", folder)
        assert answer.code == 0, answer
        return recipe, folder

    return run


def reports(run: Path) -> dict[str, int]:
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in run.glob("oof/*/fold_*/**/report.json")}


def test_new_patients_get_the_same_probabilities_and_only_what_changed_is_trained_again(
    cli, submitted, cohort_dir, tmp_path
):
    recipe, run = submitted("sites", "frozen", "alone")
    table = pl.read_parquet(run / "oof" / "oof.parquet")
    assert table.columns == ["lesion_id", "fold", "sites", "frozen", "alone"]
    report = json.loads((run / "oof" / "sites" / "fold_0" / "report.json").read_text())
    assert set(report["artefacts"]) == {"model.safetensors", "predictions.parquet", "metadata.json", "training.json"}
    new = ["--metadata", cohort_dir / "test-metadata.csv", "--out", tmp_path / "new.csv", "--plain"]
    assert cli("predict", "--run", run, *new, "--images", cohort_dir / "test-image.hdf5").code == 0
    both = pl.read_csv(tmp_path / "new.csv").join(pl.read_csv(run / "submission.csv"), on="isic_id")
    assert both.height == 150
    np.testing.assert_allclose(both["malignant"], both["target"], atol=1e-9)
    refused = cli("predict", "--run", run, *new)
    assert refused.code == 2
    assert "sites and frozen of stage one see images" in refused.err
    ask_alone(cli, run, cohort_dir, tmp_path)

    before = reports(run)
    change = 'image_models[alone].metadata.columns=["age_approx"]'
    assert cli("oof", "--recipe", recipe, "--run", run, "--set", change, "--replace").code == 0
    changed = {name.split("/")[1] for name, time in reports(run).items() if time != before[name]}
    assert changed == {"alone"}
    (run / "oof" / "frozen" / "fold_1" / "metadata.json").write_text("{}")
    again = cli("oof", "--recipe", recipe, "--run", run, "--set", change)
    assert again.code == 0
    assert "frozen, fold 1: metadata.json is damaged" in again.out


def ask_alone(cli: Any, run: Path, cohort_dir: Path, tmp_path: Path) -> None:
    """One lesion, of a network that sees and is told, and of one that is told alone: by hand from what is stored."""
    with h5py.File(cohort_dir / "test-image.hdf5") as file:
        content = bytes(file[next(iter(file))][()])
    (tmp_path / "new.jpg").write_bytes(content)
    told: dict[str, Any] = {"age_approx": 55.0, "sex": "male", "anatom_site_general": None, "tbp_lv_areaMM2": 4.5}
    for model in Run.open(run).recipe.image_models:
        seeing = model.backbone != "none"
        columns = [name for name in model.metadata.columns if told[name] is not None]
        words = [part for name in columns for part in ("--tell", f"{name}={told[name]}")]
        words += ["--image", tmp_path / "new.jpg"] if seeing else []
        answer = cli("predict", "--run", run, "--model", model.name, *words, "--out", tmp_path / "one.csv")
        assert answer.code == 0, answer
        assert ("taken as missing: anatom_site_general" in answer.out) == (model.name == "sites")
        found = []
        for folder in sorted((run / "oof" / model.name).glob("fold_?")):
            numbers = []
            stored = json.loads((folder / "metadata.json").read_text())
            fitted = {one["name"]: one for one in stored["numbers"] + stored["categories"]}
            for name in stored["order"]:
                one = fitted[name]
                if "values" in one:
                    numbers += [float(told[name] == value) for value in one["values"]]
                else:
                    numbers += [(told[name] - one["mean"]) / one["deviation"], *([0.0] if one["flag"] else [])]
            pixels = prepare(torch.from_numpy(decode(content, 32)[None]), model.input_size) if seeing else None
            with torch.inference_mode():
                network = load_model(folder / WEIGHTS, model, 2).eval()
                found.append(float(torch.sigmoid(network(pixels, torch.tensor([numbers])))))
        assert pl.read_csv(tmp_path / "one.csv")["malignant"][0] == pytest.approx(np.mean(found), abs=1e-6)
    for model, words, said in (
        ("alone", ["--tell", "age_aprox=5"], "alone has no column 'age_aprox'; did you mean 'age_approx'?"),
        ("alone", ["--tell", "age_approx=old"], "--tell age_approx=old: the models were told numbers"),
        ("alone", ["--tell", "age_approx"], "write it as column=value"),
        ("alone", ["--tell", "age_approx=5", "--image", tmp_path / "new.jpg"], "alone sees no image"),
    ):
        answer = cli("predict", "--run", run, "--model", model, *words)
        assert answer.code == 2
        assert said in answer.err
    answer = cli("predict", "--run", run, "--model", "sites", "--image", tmp_path / "new.jpg", "--tell", "sex=mal")
    assert "sex 'mal' was not in training; did you mean 'male'?" in answer.out


def test_a_run_without_image_networks_packs_no_image(cli, variant, cohort_dir, tmp_path):
    recipe = variant(with_models("alone"))
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("train-metadata.csv", "test-metadata.csv", "train-image.hdf5", "test-image.hdf5"):
        (tables / name).symlink_to(cohort_dir / name)
    cache = tmp_path / "cache"
    run = tmp_path / "run"
    assert cli("oof", "--recipe", recipe, "--run", run, "--data", tables, cache=cache).code == 0
    assert not list(cache.rglob("images.npy"))
    for name in ("oof", "test"):
        assert pl.read_parquet(run / "oof" / f"{name}.parquet")["alone"].is_between(0, 1).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age_approx", "iddx_1"], "iddx_1 (known only after the diagnosis)"),
        (["patient_id"], "patient_id (the name of the group"),
        (["target"], "target (the answer itself)"),
        (["age"], "the table has no column age"),
    ],
)
def test_columns_that_are_refused_are_refused_before_anything_is_trained(cli, variant, tmp_path, columns, message):
    recipe = variant(with_models("alone", metadata={"columns": columns, "widths": [4]}))
    answer = cli("oof", "--recipe", recipe, "--run", tmp_path / "run")
    assert answer.code == 2
    assert message in answer.err
    assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_the_dry_run_says_what_each_model_sees_and_that_a_plateau_depends_on_scores(cli, variant, tmp_path):
    answer = cli("oof", "--recipe", variant(with_models(*MODELS)), "--run", tmp_path / "run", "--dry-run")
    assert answer.code == 0
    for part in (
        "sites: lesion_net at 32 px + lesion_net at 48 px + 3 metadata columns by site_branches fusion",
        "frozen: lesion_net at 32 px (frozen) + 1 metadata column by concatenation fusion",
        "alone: 2 metadata columns alone",
        "whenever more than 0 epochs in a row bring no better inner score",
        "a fit ends before its last epoch once 2 in a row bring no better score",
        "image vectors computed once",
    ):
        assert part in answer.out


def test_no_contact_sheet_of_what_is_not_augmented(cli, variant, tmp_path):
    for name, why in (("frozen", "is frozen"), ("alone", "sees no images")):
        recipe = variant(with_models(name))
        answer = cli("show-augmentations", "--recipe", recipe, "--run", tmp_path / "run", "--out", tmp_path / "a.png")
        assert answer.code == 2
        assert why in answer.err


@pytest.fixture
def changed(cohort_dir: Path, tmp_path: Path) -> Any:
    """The inputs of a run of some of the models on the tiny cohort, its training part changed by a function."""
    from tests.conftest import TINY

    def make_inputs(change: Any, *names: str, run: str = "run", **changes: Any) -> Inputs:
        raw = tomllib.loads(TINY)
        with_models(*names, **changes)(raw)
        raw["resources"]["image_models_at_once"] = 1
        runtime = Runtime(Display(), LocalExecutor(), cohort_dir.parent, tmp_path)
        plain = Inputs(Run.of(parse_recipe(raw, "tiny"), tmp_path / run, cohort_dir), runtime)
        data = dataclasses.replace(plain.data, train=change(plain.data.train), test=None)
        return Inputs(plain.run, runtime, given=data)

    return make_inputs


def first_trained(inputs: Inputs) -> Step:
    """The network without fold 0, trained."""
    make_batch("folds", [plan_of(inputs).folds], inputs, inputs.runtime)
    step = plan_of(inputs)["fold model", "alone", 0]
    make_batch("stage one", [step], inputs, inputs.runtime)
    return step


def three_classes(train: Cohort) -> Cohort:
    """The cohort with a third class: large benign lesions."""
    task = dataclasses.replace(train.task, classes=("small", "malignant", "large"), score="auc")
    large = (pl.col("tbp_lv_areaMM2") > pl.col("tbp_lv_areaMM2").median()) & (pl.col("target") == 0)
    table = train.table.with_columns(target=pl.when(large).then(2).otherwise(pl.col("target")).cast(pl.Int64))
    return dataclasses.replace(train, table=table, task=task)


def test_three_classes_get_a_column_each(changed):
    inputs = changed(three_classes, "frozen", "alone", class_weights="balanced", epochs=4, learning_rate=3e-2)
    make(inputs, inputs.runtime, "oof")
    table = pl.read_parquet(inputs.run.folder / "oof" / "oof.parquet")
    for name in ("frozen", "alone"):
        columns = [f"{name}:{label}" for label in ("small", "malignant", "large")]
        assert set(columns) <= set(table.columns)
        np.testing.assert_allclose(table.select(columns).sum_horizontal(), 1, atol=1e-9)
    scores = json.loads((inputs.run.folder / "oof" / "report.json").read_text())["scores"]
    assert scores["alone"]["auc"]["estimate"] > 0.7  # it is told the area
    assert {"accuracy", "balanced_accuracy", "f1"} <= scores["alone"].keys()


def test_metadata_of_held_out_lesions_reach_no_fitted_number(changed):
    def scrambled(train: Cohort) -> Cohort:
        held_out = pl.Series(plain.folds.fold == 0)
        age = pl.when(held_out).then(99.0).otherwise(pl.col("age_approx"))
        sex = pl.when(held_out).then(pl.lit("unknown to training")).otherwise(pl.col("sex"))
        return dataclasses.replace(train, table=train.table.with_columns(age_approx=age, sex=sex))

    told = {"columns": ["age_approx", "sex"], "widths": [4]}
    plain = changed(lambda train: train, "alone", metadata=told)
    one = first_trained(plain).folder
    two = first_trained(changed(scrambled, "alone", metadata=told, run="other")).folder
    assert (one / "metadata.json").read_bytes() == (two / "metadata.json").read_bytes()
    first, second = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert all((first[name] == second[name]).all() for name in first)
    assert (one / "predictions.parquet").read_bytes() != (two / "predictions.parquet").read_bytes()


def test_a_stored_encoder_gives_every_lesion_the_numbers_it_had_in_training(changed):
    inputs = changed(lambda train: train, "alone")
    step = first_trained(inputs)
    work = fold_model_of(step)
    told = with_stored_metadata(work.model, step.folder, inputs.data.train.table, training_lesions(inputs))
    network = load_model(step.folder / WEIGHTS, work.model, 2)
    found = predict(network, work.model, told, work.held_out(inputs.folds), device="cpu")
    np.testing.assert_allclose(found, predictions_of(step, inputs).probabilities, atol=1e-6)


def test_a_dry_run_without_data_makes_no_cache(cli, variant, tmp_path):
    answer = cli("oof", "--recipe", variant(with_models(*MODELS)), "--dry-run", cache=tmp_path / "cache")
    assert answer.code == 0, answer.err
    assert not (tmp_path / "cache").exists()
