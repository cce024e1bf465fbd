"""No label reaches its own prediction by any path: tried from outside, on whole runs of the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.schemas.isic2024 import FORBIDDEN

pytestmark = pytest.mark.slow

DIAGNOSIS = sorted(FORBIDDEN - {"target"})
SCORED_FOLD = 1


@pytest.fixture
def edited(cohort_dir: Path, tmp_path: Path) -> Callable[..., Path]:
    """The cohort with another training table: `edited(name, change)`."""

    def make(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in cohort_dir.iterdir():
            if path.suffix == ".hdf5":
                (folder / path.name).symlink_to(path)
            else:
                shutil.copy(path, folder)
        train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
        change(train).write_csv(folder / "train-metadata.csv")
        return folder

    return make


@pytest.fixture
def folds_file(finished_run: Path) -> Path:
    """The finished run's folds, for runs on changed labels to obey."""
    return finished_run / "folds.parquet"


def one_image_model(raw: dict[str, Any]) -> None:
    raw["image_models"] = [raw["image_models"][0]]
    raw["features"]["target_encoding"] = True
    raw["folds"] = {"count": 3, "max_positive_imbalance": 9.0}


def metadata_only(raw: dict[str, Any]) -> None:
    raw["image_models"] = []


def out_of_fold(run: Path, stage: str) -> pl.DataFrame:
    return pl.read_parquet(run / stage / "oof.parquet")


def labels_of_one_fold_turned(fold: np.ndarray) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Turn around the labels of a third of one fold's lesions; the diagnosis columns follow the wrong labels' rows."""
    rows = np.flatnonzero(fold == SCORED_FOLD)
    turned = np.zeros(len(fold), dtype=bool)
    turned[rows[::3]] = True

    def change(train: pl.DataFrame) -> pl.DataFrame:
        wrong = pl.Series(turned)
        target = pl.when(wrong).then((1 - pl.col("target").cast(pl.Int64)).cast(pl.String)).otherwise("target")
        return train.with_columns(target.alias("target"))

    return change


@pytest.mark.parametrize("nested", [False, True])
def test_a_folds_own_labels_do_not_reach_its_predictions(
    cli: Any, variant: Any, edited: Any, cohort_dir: Path, folds_file: Path, tmp_path: Path, nested: bool
):
    recipe = variant(one_image_model)
    fold = pl.read_parquet(folds_file)["fold"].to_numpy()
    data = {"true": cohort_dir, "turned": edited("turned", labels_of_one_fold_turned(fold))}
    for name, folder in data.items():
        answer = cli(
            *("tabular", "--recipe", recipe, "--data", folder, "--run", tmp_path / "runs" / name),
            *("--set", f"folds.file={folds_file}", "--set", f"tabular.nested={str(nested).lower()}"),
        )
        assert answer.code == 0, answer
    own = fold == SCORED_FOLD
    for stage in ("oof", "tabular"):
        true, turned = (out_of_fold(tmp_path / "runs" / name, stage) for name in data)
        for name in true.columns[2:]:
            # Without `nested`, stage two trains on image columns of models that saw the scored fold's labels.
            if stage == "oof" or nested or name == "lightgbm_metadata":
                assert true[name].filter(own).equals(turned[name].filter(own)), name
            assert not true[name].filter(~own).equals(turned[name].filter(~own)), f"{name} ignores labels altogether"


def searched(raw: dict[str, Any]) -> None:
    raw["folds"] = {"count": 3, "max_positive_imbalance": 9.0}
    raw["image_models"] = [raw["image_models"][0]]
    raw["tabular"]["members"] = raw["tabular"]["members"][:2]
    raw["tabular"]["nested"] = True
    space = {"num_leaves": {"low": 2, "high": 31}, "learning_rate": {"low": 0.02, "high": 0.5}}
    raw["tabular"]["tune"] = {"trials": 4, "spaces": {"lightgbm": space}}


@pytest.mark.parametrize("scope", ["fold", "shared"])
def test_a_folds_own_labels_do_not_reach_its_search(
    cli: Any, variant: Any, edited: Any, cohort_dir: Path, folds_file: Path, tmp_path: Path, scope: str
):
    recipe = variant(searched)
    fold = pl.read_parquet(folds_file)["fold"].to_numpy()
    data = {"true": cohort_dir, "turned": edited("turned", labels_of_one_fold_turned(fold))}
    said = {}
    for name, folder in data.items():
        answer = cli(
            *("tabular", "--recipe", recipe, "--data", folder, "--run", tmp_path / "runs" / name),
            *("--set", f"folds.file={folds_file}", "--set", f"tabular.tune.scope={scope}"),
        )
        assert answer.code == 0, answer
        said[name] = out_of_fold(tmp_path / "runs" / name, "tabular").filter(fold == SCORED_FOLD)
    same = [said["true"][name].equals(said["turned"][name]) for name in said["true"].columns[2:]]
    # The cheap way lets them: here it shows that the test can tell.
    assert all(same) if scope == "fold" else not all(same)


@pytest.mark.parametrize("labels", ["target", "relabelled", "relabelled_then_target"])
def test_what_is_known_only_after_the_diagnosis_never_reaches_a_prediction(
    cli: Any, variant: Any, edited: Any, cohort_dir: Path, folds_file: Path, tmp_path: Path, labels: str
):
    """With `labels = "target"` no row's diagnosis counts; else that of training rows does, of held-out rows never."""
    recipe = variant(one_image_model)
    fold = pl.read_parquet(folds_file)["fold"].to_numpy()
    changed = np.ones(len(fold), dtype=bool) if labels == "target" else fold == SCORED_FOLD
    rng = np.random.default_rng(5)

    def scramble(train: pl.DataFrame) -> pl.DataFrame:
        order = np.arange(train.height)
        order[changed] = rng.permutation(order[changed])
        return train.with_columns(train[name].gather(order) for name in DIAGNOSIS)

    data = {"true": cohort_dir, "scrambled": edited("scrambled", scramble)}
    for name, folder in data.items():
        answer = cli(
            *("submission" if labels == "target" else "oof", "--recipe", recipe, "--data", folder),
            *("--run", tmp_path / "runs" / name, "--set", f"folds.file={folds_file}"),
            *("--set", f"image_models[0].labels={labels}", "--set", "image_models[0].second_fit_epochs=1"),
        )
        assert answer.code == 0, answer
    runs = [tmp_path / "runs" / name for name in data]
    true, scrambled = (out_of_fold(run, "oof") for run in runs)
    assert true.filter(changed).equals(scrambled.filter(changed))
    if labels == "target":
        assert out_of_fold(runs[0], "tabular").equals(out_of_fold(runs[1], "tabular"))
        assert (runs[0] / "submission.csv").read_bytes() == (runs[1] / "submission.csv").read_bytes()
    else:
        assert not true.filter(~changed).equals(scrambled.filter(~changed)), "the diagnosis of training rows counts"


def test_permuted_labels_score_what_chance_scores_through_tuning(cli: Any, variant: Any, edited: Any, tmp_path: Path):
    """Whole patients swap their labels, so whatever a patient's rows share is no help; 0.02 is the score of chance."""

    def tuned(raw: dict[str, Any]) -> None:
        metadata_only(raw)
        raw["features"] = {"set": "simple"}  # target encoding: the feature most able to leak a label
        raw["tabular"]["blend"] = {"method": "stacker"}
        raw["tabular"]["members"] = raw["tabular"]["members"][:1]
        raw["tabular"]["tune"] = {
            "trials": 4,
            "spaces": {"lightgbm": {"num_leaves": {"low": 2, "high": 31}, "learning_rate": {"low": 0.05, "high": 0.5}}},
        }

    recipe = variant(tuned)
    scores: list[dict[str, float]] = []
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def permute(train: pl.DataFrame, rng: np.random.Generator = rng) -> pl.DataFrame:
            # Labels travel in one piece from patient to patient: lesions are laid out patient after patient, in two
            # orders of the patients, and the labels of the one are given to the lesions of the other.
            patients = train["patient_id"].to_numpy()
            codes = np.unique(patients, return_inverse=True)[1]
            layouts = []
            for _ in range(2):
                place = rng.permutation(codes.max() + 1)[codes]
                layouts.append(np.lexsort((rng.random(len(codes)), place)))
            target = np.empty(len(codes), dtype=object)
            target[layouts[0]] = train["target"].to_numpy()[layouts[1]]
            return train.with_columns(pl.Series("target", target.tolist()))

        run = tmp_path / "runs" / f"seed_{seed}"
        answer = cli("tabular", "--recipe", recipe, "--data", edited(f"seed_{seed}", permute), "--run", run)
        assert answer.code == 0, answer
        members = json.loads((run / "tabular" / "report.json").read_text())["scores"]
        scores += [{"name": name, **figures["pauc"]} for name, figures in members.items()]
    # The interval of each must hold chance but for the one in twenty that may miss it.
    missed = [score for score in scores if not score["low"] <= 0.02 <= score["high"]]
    assert len(missed) <= 2, missed
    assert np.mean([score["estimate"] for score in scores]) < 0.04
