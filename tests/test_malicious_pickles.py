"""A pickle that would make a file, put under every name that the project loads, makes none and is refused by name."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import FusionNetXError


class Evil:
    """Unpickling this makes the file `ran` in the working folder."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def plain() -> bytes:
    return pickle.dumps(Evil())


def of_torch() -> bytes:
    """A zip archive as `torch.save` writes it, with the pickle inside."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(), 2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return out.getvalue()


def of_numpy() -> bytes:
    """An array of objects, which numpy keeps as a pickle."""
    out = io.BytesIO()
    np.save(out, np.array([Evil()], dtype=object), allow_pickle=True)
    return out.getvalue()


FORMS = {"pickle": plain, "torch": of_torch, "numpy": of_numpy}


def model(path: Path) -> None:
    from image_models.networks.model_file import load_model
    from image_models.recipe import ImageModelRecipe

    load_model(path, ImageModelRecipe(name="a", backbone="lesion_net", pretrained="none"), 1)


def state(path: Path) -> None:
    from image_models.training.state import load_state

    assert load_state(path, {"seed": 1}) is None  # it says so in the log and starts anew


def weights(path: Path) -> None:
    from image_models.networks.weights import read
    from image_models.recipe import ImageModelRecipe

    read(path, ImageModelRecipe(name="a", backbone="resnet18", pretrained=str(path)))


def finished(path: Path) -> None:
    from image_models.networks.model_file import finished_by

    assert not finished_by(path, {"seed": 1})


def predictions(path: Path) -> None:
    from data.predictions import Predictions

    Predictions.read(path)


def feature_table(path: Path) -> None:
    from features.table import FeatureTable

    FeatureTable.read(path)


def encoder(path: Path) -> None:
    from pipeline.predicting import stored

    stored(path)


def report(path: Path) -> None:
    from pipeline.step_reports import read_step_report

    assert read_step_report(path) is None


def run_record(path: Path) -> None:
    from pipeline.run import recorded

    recorded(path.parent)


def member(path: Path) -> None:
    from tabular.crossfit import load_models
    from tabular.recipe import MemberRecipe

    load_models(MemberRecipe(name="m", booster="xgboost"), path.parent)


def booster(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from tabular.learners.registry import LEARNERS

        LEARNERS[name].load(path, 3, 2)

    return read


def pack(path: Path) -> None:
    from data.files import sha256_of
    from data.images.pack import FORMAT, ImagePack

    sums: dict[str, Any] = {"ids.npy": "", "present.npy": "", "images.npy": {"lesions_per_chunk": 1, "sha256": [""]}}
    for name, array in (
        ("images.npy", np.zeros((1, 4, 4, 3), np.uint8)),
        ("ids.npy", np.array(["a"])),
        ("present.npy", np.ones(1, bool)),
    ):
        if path.name != name:
            np.save(path.with_name(name), array, allow_pickle=False)
        if name != "images.npy":
            sums[name] = sha256_of(path.with_name(name))
    facts = {"format": FORMAT, "lesions": 1, "image_size": 4, "checksums": sums, "missing": {}, "fingerprint": "f"}
    path.with_name("report.json").write_text(json.dumps(facts))
    ImagePack.open(path.parent)


def study(path: Path) -> None:
    from tabular.recipe import TuneRecipe
    from tabular.tuning.study import open_study

    open_study(path, "s", TuneRecipe())


def database(path: Path) -> None:
    from tabular.recipe import TuneRecipe
    from tabular.tuning.study import open_study

    open_study(f"sqlite:///{path}", "s", TuneRecipe())


def table(path: Path) -> None:
    from data.tables.csv import read_csv

    read_csv(path)


def images(path: Path) -> None:
    from data.images.sources import Hdf5Images

    _ = Hdf5Images(path).ids


def image(path: Path) -> None:
    from data.images.decode import decode

    decode(path.read_bytes(), 8)


def recipe(path: Path) -> None:
    from pipeline.recipe import load_recipe

    load_recipe(str(path))


LOADED: dict[str, Callable[[Path], None]] = {
    "model.safetensors": model, "last.safetensors": state, "resnet18.safetensors": weights,
    "finished.safetensors": finished, "predictions.parquet": predictions, "features.parquet": feature_table,
    "encoder.json": encoder, "blend.json": encoder, "report.json": report, "models.json": member,
    "model.txt": booster("lightgbm"), "model.ubj": booster("xgboost"), "model.cbm": booster("catboost"),
    "images.npy": pack, "ids.npy": pack, "present.npy": pack, "study.journal": study, "study.db": database,
    "train-metadata.csv": table, "train-image.hdf5": images, "ISIC_1.jpg": image, "recipe.toml": recipe,
    "run.json": run_record,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LOADED)
@pytest.mark.filterwarnings("ignore")  # optuna and SQLAlchemy warn of what they then refuse
def test_a_pickle_under_a_name_that_is_loaded_does_not_run(
    name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_bytes(FORMS[form]())
    if name in {"last.safetensors", "finished.safetensors", "report.json"}:
        LOADED[name](path)
    else:
        with pytest.raises(FusionNetXError) as refused:
            LOADED[name](path)
        message = str(refused.value)
        assert len(message) < 600
        assert name == "ISIC_1.jpg" or name in message or str(path.parent) in message
    assert not Path("ran").exists()


@pytest.mark.parametrize("form", FORMS)
def test_the_pickles_would_run(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Or the test above would say nothing."""
    monkeypatch.chdir(tmp_path)
    data = FORMS[form]()
    if form == "torch":
        torch.load(io.BytesIO(data), weights_only=False)
    elif form == "numpy":
        np.load(io.BytesIO(data), allow_pickle=True)
    else:
        pickle.loads(data)  # noqa: S301 - our own
    assert Path("ran").exists()
