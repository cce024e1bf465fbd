"""Bad files of stage two in a finished run, and bad requests to predict with one, tried by `fusionnetx predict`."""

import shutil
from pathlib import Path

import h5py
import polars as pl
import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.bad_input.of_runs import damaged, flipped, holding, json_of, pickled, vouched
from tests.damage import cut, edit

ENCODER = "features/fold_1/encoder.json"
BLEND = "tabular/blend.json"
MANIFEST = "tabular/catboost/fold_0/seed_42/models.json"
BOOSTERS = {"lightgbm": "model.txt", "xgboost": "model.ubj", "catboost": "model.cbm"}
WHOLE = "is not finished or not whole"


def booster_file(booster: str) -> str:
    return f"tabular/{booster}/fold_0/seed_42/{BOOSTERS[booster]}"


def of_another_fold(b: Bench) -> None:
    shutil.copy(b.run / booster_file("lightgbm").replace("fold_0", "fold_1"), b.run / booster_file("lightgbm"))


STAGE_TWO = [
    *(Row(f"a {name} model cut short", damaged(booster_file(name), cut), (WHOLE, "is damaged")) for name in BOOSTERS),
    *(
        Row(f"a {name} model with one bit flipped", damaged(booster_file(name), flipped), (WHOLE, "is damaged"))
        for name in BOOSTERS
    ),
    *(
        Row(
            f"a pickle named {BOOSTERS[name]}, vouched for",
            vouched(booster_file(name), holding(pickled)),
            (f"{BOOSTERS[name]} is damaged (its checksum differs)",),
        )
        for name in BOOSTERS
    ),
    Row("a booster of another fold", of_another_fold, (WHOLE, "lightgbm/fold_0/seed_42/model.txt is damaged")),
    Row("a booster missing", damaged(booster_file("xgboost"), Path.unlink), (WHOLE, "model.ubj is missing")),
    Row("a manifest cut short", vouched(MANIFEST, cut), ("models.json is damaged",)),
    Row(
        "a manifest of another kind",
        vouched(MANIFEST, json_of(lambda _: [])),
        ("models.json is not a member's manifest",),
    ),
    Row(
        "a manifest that leaves the run folder",
        vouched(
            MANIFEST,
            json_of(lambda m: {**m, "models": [{**m["models"][0], "file": "../../../x"}]}),
        ),
        ("models.json is not a member's manifest",),
    ),
    Row(
        "features that the table lacks",
        vouched(
            MANIFEST,
            json_of(lambda m: {**m, "features": ["mood", *m["features"][1:]]}),
        ),
        ("need 1 features that the table lacks (mood)",),
    ),
    Row("an encoder cut short", damaged(ENCODER, cut), (WHOLE, "encoder.json is damaged")),
    Row("an encoder cut short, vouched for", vouched(ENCODER, cut), ("encoder.json is missing or damaged",)),
    Row("a pickle named encoder.json", vouched(ENCODER, holding(pickled)), ("encoder.json is missing or damaged",)),
    Row(
        "an encoder nested 100,000 deep",
        vouched(ENCODER, holding(lambda: b"[" * 100_000)),
        ("encoder.json is missing or damaged",),
    ),
    Row("an encoder of another kind", vouched(ENCODER, json_of(lambda _: 5)), ("this is not a stored encoder",)),
    Row(
        "an encoder of other features",
        vouched(ENCODER, json_of(lambda e: {**e, "features": e["features"][1:]})),
        ("the table differs from the one the encoder was fitted on",),
    ),
    Row("a blend cut short", vouched(BLEND, cut), ("blend.json is missing or damaged",)),
    Row("a blend of another kind", vouched(BLEND, json_of(lambda _: {"method": "mean"})), ("blend",)),
    Row(
        "a report cut short",
        damaged("tabular/xgboost/fold_0/seed_42/report.json", cut),
        (WHOLE, "tabular/xgboost/fold_0/seed_42 has no report.json"),
    ),
    Row(
        "a report of another kind",
        damaged("oof/wide/fold_1/report.json", json_of(lambda r: {**r, "artefacts": [1]})),
        (WHOLE, "oof/wide/fold_1 has no report.json"),
    ),
    Row(
        "another recipe",
        damaged("recipe.toml", lambda p: edit(p, lambda w: w.replace(b"hidden = 16", b"hidden = 8", 1))),
        (WHOLE, "oof/wide/fold_0", "was made with another recipe"),
    ),
    Row("a recipe cut short", damaged("recipe.toml", lambda p: edit(p, lambda w: w[:500])), ("recipe.toml",)),
    Row("a run.json cut short", damaged("run.json", cut), ("run.json is damaged",)),
    Row("a pickle named run.json", damaged("run.json", holding(pickled)), ("run.json is damaged",)),
    Row("a run.json of another kind", damaged("run.json", json_of(lambda _: [1])), ("run.json is damaged",)),
    Row("a recipe missing", damaged("recipe.toml", Path.unlink), ("is not a run folder: it has no recipe.toml",)),
]


@pytest.mark.parametrize("row", chosen(STAGE_TWO), ids=lambda row: row.name)
def test_runs(bench: Bench, row: Row) -> None:
    bench.predict(row)


def nothing(_: Bench) -> None:
    """The bad input is in the options."""


REQUESTS = [
    Row("no metadata", nothing, ("nowhere.csv",), options=("--metadata", "{root}/nowhere.csv")),
    Row(
        "metadata of training",
        nothing,
        ("wrote 40 probabilities",),
        goes_on=True,
        options=("--metadata", "{root}/data/train-metadata.csv", "--images", "{root}/data/train-image.hdf5"),
    ),
    Row("no images", nothing, ("nowhere.hdf5 does not exist",), options=("--images", "{root}/nowhere.hdf5")),
    Row(
        "images of other lesions",
        nothing,
        ("none of the 10 lesions has a usable image",),
        options=("--images", "{root}/data/train-image.hdf5"),
    ),
    Row("a run of another name", nothing, ("is not a run folder",), options=("--run", "runs/nobody")),
    Row("an answer that is a folder", nothing, ("error:",), options=("--out", "{root}/data")),
    Row("an answer under a file", nothing, ("error:",), options=("--out", "{root}/data/test-metadata.csv/out.csv")),
    Row(
        "a lesion without an image",
        lambda b: without_image(b),
        ("1 lesions have no usable image (ISIC_",),
        goes_on=True,
    ),
]


def without_image(b: Bench) -> None:
    with h5py.File(b.hdf5("test"), "r+") as file:
        del file[sorted(file)[0]]


@pytest.mark.parametrize("row", chosen(REQUESTS), ids=lambda row: row.name)
def test_requests_to_predict(bench: Bench, row: Row) -> None:
    bench.predict(row)
    if row.goes_on:
        written = pl.read_csv(bench.root / "out.csv")
        assert written["malignant"].is_between(0, 1).all()
