"""The whole pipeline at its smallest: what it leaves behind, what it runs again, and that only the recipe decides."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from data.errors import Interrupted
from data.files import sha256_of
from pipeline.display import Display

pytestmark = pytest.mark.slow

TIMED = {"report.json", "folds.json", "submission.json", "training.json", ".lock", "study.journal", "trials.parquet"}
"""Files that hold times, so that two runs differ in them."""


def results(run: Path) -> dict[str, str]:
    """Checksum of every file that must not depend on how the run went."""
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name not in TIMED]
    return {str(path.relative_to(run)): sha256_of(path) for path in files}


def written(run: Path) -> dict[str, int]:
    """When every file of a run was written, but for the two that every command writes."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in {".lock", "recipe.toml"}]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in files}


def reports_changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Folders whose step ran again; encoders are left out, for they are made with any booster of their fold."""
    names = {name for name in after if name.endswith("report.json") and after[name] != before.get(name)}
    return {str(Path(name).parent) for name in names if not name.startswith("features/")}


def pauc_by_scikit_learn(target: np.ndarray, probability: np.ndarray) -> float:
    partial = roc_auc_score(1 - target, -probability, max_fpr=0.2)
    return 0.02 + (partial - 0.5) / 0.5 * 0.18


@pytest.fixture
def submit(cli: Any, tiny_recipe: Path) -> Any:
    """Run `submission`: `submit(run, *options, recipe=...)`; it must succeed."""

    def run(run_dir: Path, *options: object, recipe: Path = tiny_recipe) -> str:
        answer = cli("submission", "--recipe", recipe, "--run", run_dir, *options)
        assert answer.code == 0, answer
        return answer.out

    return run


def test_the_submission_has_every_test_lesion_once(finished_run: Path, cohort_dir: Path):
    submission = pl.read_csv(finished_run / "submission.csv")
    assert submission.columns == ["isic_id", "target"]
    assert submission["isic_id"].to_list() == pl.read_csv(cohort_dir / "sample_submission.csv")["isic_id"].to_list()
    assert submission["target"].is_finite().all()
    assert submission["target"].is_between(0, 1).all()
    assert submission["target"].n_unique() > 50


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("oof", ["narrow", "wide"]),
        ("tabular", ["lightgbm_metadata", "lightgbm", "catboost", "xgboost", "blend"]),
    ],
)
def test_every_lesion_is_predicted_once_by_a_fold_without_its_patient(
    finished_run: Path, cohort_dir: Path, table: str, columns: list[str]
):
    out_of_fold = pl.read_parquet(finished_run / table / "oof.parquet")
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    assert out_of_fold.columns == ["lesion_id", "fold", *columns]
    assert out_of_fold["lesion_id"].to_list() == train["isic_id"].to_list()
    assert out_of_fold["fold"].to_list() == pl.read_parquet(finished_run / "folds.parquet")["fold"].to_list()
    folds_of_patient = train.with_columns(out_of_fold["fold"]).group_by("patient_id").agg(pl.col("fold").n_unique())
    assert folds_of_patient["fold"].max() == 1
    for name in columns:
        assert out_of_fold[name].null_count() == 0
        assert out_of_fold[name].is_between(0, 1).all()


def test_the_metrics_are_those_of_the_tables(finished_run: Path, cohort_dir: Path):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    target = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)["target"].to_numpy()
    members = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    for name, figures in metrics["cross_validated"]["members"].items():
        expected = pauc_by_scikit_learn(target, members[name].to_numpy())
        assert figures["pauc"]["estimate"] == pytest.approx(expected, abs=1e-12)
        assert figures["pauc"]["low"] <= figures["pauc"]["estimate"] <= figures["pauc"]["high"]
        assert figures["auc"]["estimate"] == pytest.approx(roc_auc_score(target, members[name].to_numpy()), abs=1e-12)
    answers = pl.read_csv(cohort_dir / "test-answers.csv")
    submission = pl.read_csv(finished_run / "submission.csv").join(answers, on="isic_id", suffix="_true")
    for part in ("public", "private"):
        rows = submission.filter(pl.col("split") == part)
        expected = pauc_by_scikit_learn(rows["target_true"].to_numpy(), rows["target"].to_numpy())
        assert metrics["test"][part]["blend"]["pauc"]["estimate"] == pytest.approx(expected, abs=1e-12)
    assert metrics["synthetic"] is True


def test_the_blend_is_the_mean_of_the_members(finished_run: Path):
    members = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    mean = members.select("lightgbm_metadata", "lightgbm", "catboost", "xgboost").to_numpy().mean(axis=1)
    np.testing.assert_allclose(members["blend"].to_numpy(), mean, rtol=0, atol=1e-15)


def test_what_it_said(finished_run: Path):
    said = (finished_run.parent / "said.txt").read_text()
    for words in ("cross-validated pauc 0.", "demo leaderboard, private: pauc 0.", "synthetic", "submission.csv"):
        assert words in said


def test_a_second_run_does_nothing_even_under_another_path(submit: Any, run_copy: Path):
    before = written(run_copy)
    said = submit(run_copy)
    assert written(run_copy) == before
    assert "all 6 fold models are done" in said
    assert "12 of 12 boosters are done" in said
    assert "up to date" in said


def test_a_changed_image_model_is_trained_again_with_what_follows(submit: Any, run_copy: Path):
    before = written(run_copy)
    said = submit(run_copy, "--set", "image_models[wide].epochs=2")
    assert "epochs 1 -> 2" in said
    changed = reports_changed(before, written(run_copy))
    assert {f"oof/wide/fold_{k}" for k in range(3)} <= changed
    assert {
        f"tabular/{name}/fold_{k}/seed_42" for k in range(3) for name in ("lightgbm", "catboost", "xgboost")
    } <= changed
    assert not {name for name in changed if name.startswith(("oof/narrow", "tabular/lightgbm_metadata"))}


def test_a_changed_member_is_fitted_again_alone(submit: Any, run_copy: Path):
    before = written(run_copy)
    said = submit(run_copy, "--set", "tabular.members[catboost].iterations=12")
    assert "iterations 10 -> 12" in said
    folds = {f"tabular/catboost/fold_{k}/seed_42" for k in range(3)}
    assert reports_changed(before, written(run_copy)) == {*folds, "tabular"}


def test_a_new_image_model_is_the_only_one_trained(cli: Any, run_copy: Path, variant: Any):
    recipe = variant(lambda raw: raw["image_models"].append({**raw["image_models"][0], "name": "third", "hidden": 2}))
    before = written(run_copy)
    assert cli("oof", "--recipe", recipe, "--run", run_copy).code == 0
    changed = reports_changed(before, written(run_copy))
    assert changed == {"oof", *(f"oof/third/fold_{k}{part}" for k in range(3) for part in ("", "/test"))}
    assert pl.read_parquet(run_copy / "oof" / "oof.parquet").columns[2:] == ["narrow", "wide", "third"]


def test_a_new_member_is_the_only_one_fitted(submit: Any, run_copy: Path, variant: Any):
    member = {"name": "newcomer", "booster": "lightgbm", "image_columns": False, "iterations": 5}
    recipe = variant(lambda raw: raw["tabular"]["members"].append(member))
    before = written(run_copy)
    submit(run_copy, recipe=recipe)
    changed = reports_changed(before, written(run_copy))
    assert changed == {"tabular", *(f"tabular/newcomer/fold_{k}/seed_42" for k in range(3))}


def test_another_blend_fits_nothing(submit: Any, run_copy: Path):
    before = written(run_copy)
    submit(run_copy, "--set", "tabular.blend.method=rank_mean")
    assert reports_changed(before, written(run_copy)) == {"tabular"}
    metrics = json.loads((run_copy / "metrics.json").read_text())
    members = pl.read_parquet(run_copy / "tabular" / "oof.parquet")
    assert metrics["cross_validated"]["members"]["blend"]["lesions"]["estimate"] == members.height


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damages",
    [
        {"oof/narrow/fold_1/model.safetensors": truncate, "oof/wide/fold_2/predictions.parquet": Path.unlink},
        {"oof/narrow/fold_0/test/predictions.parquet": alter, "oof/oof.parquet": truncate},
        {
            "tabular/catboost/fold_0/seed_42/model.cbm": truncate,
            "tabular/lightgbm/fold_1/seed_42/predictions.parquet": Path.unlink,
            "features/fold_2/encoder.json": truncate,
        },
        {"tabular/oof.parquet": alter, "tabular/blend.json": truncate, "oof/test.parquet": Path.unlink},
        {"submission.csv": alter},
        {"metrics.json": Path.unlink},
        {"oof/narrow/fold_0/report.json": truncate, "tabular/xgboost/fold_0/seed_42/report.json": truncate},
    ],
    ids=lambda damages: "+".join(damages),
)
def test_a_damaged_file_is_noticed_and_made_again_to_the_same_bytes(
    submit: Any, finished_run: Path, run_copy: Path, damages: dict
):
    for name, damage in damages.items():
        damage(run_copy / name)
    said = submit(run_copy)
    assert results(run_copy) == results(finished_run)
    assert "damaged" in said or "missing" in said


class StopAfter:
    """Stands in for a user who asks to stop at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted(143)


@pytest.mark.parametrize("looks", [9])
def test_a_run_stopped_again_and_again_ends_with_the_same_bytes(
    cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int
):
    run = tmp_path / "stopped"
    codes, saved = [], 0
    while not codes or codes[-1] == 143:
        monkeypatch.setattr(Display, "check_stop", StopAfter(looks))
        answer = cli("submission", "--recipe", tiny_recipe, "--run", run)
        codes.append(answer.code)
        saved += len(list(run.glob("oof/*/*/last.*")))
        assert answer.code in (0, 143), answer
        assert len(codes) < 60
    assert codes.count(143) >= 3
    assert saved > 0, "no stop fell into the middle of a training"
    assert results(run) == results(finished_run)
    assert not list(run.rglob("last.*"))


def test_sigterm_stops_with_143_and_the_same_command_goes_on(
    start: Any, cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path
):
    run = tmp_path / "stopped"
    process = start("submission", "--recipe", tiny_recipe, "--run", run)
    for line in process.stdout:
        if line.startswith("[1/6]"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    assert not (run / "submission.csv").exists()
    trained = written(run)
    answer = cli("submission", "--recipe", tiny_recipe, "--run", run)
    assert answer.code == 0, answer
    assert results(run) == results(finished_run)
    assert written(run)["oof/narrow/fold_0/report.json"] == trained["oof/narrow/fold_0/report.json"]


@pytest.fixture
def predict(cli: Any, run_copy: Path, tmp_path: Path, cohort_dir: Path) -> Any:
    """Predict with a copy of the run, without its cache or training data; gives the answer and the table."""

    def run(metadata: Path | None = None, images: Path | None = None) -> tuple[Any, pl.DataFrame | None]:
        out = tmp_path / "predictions.csv"
        answer = cli(
            *("predict", "--run", run_copy, "--out", out),
            *("--metadata", metadata or cohort_dir / "test-metadata.csv"),
            *("--images", images or cohort_dir / "test-image.hdf5"),
            cache=tmp_path / "no cache",
        )
        return answer, pl.read_csv(out) if out.exists() else None

    return run


def test_predict_gives_the_submission_without_any_training_data(predict: Any, finished_run: Path, tmp_path: Path):
    answer, table = predict()
    assert answer.code == 0, answer
    assert table is not None
    submission = pl.read_csv(finished_run / "submission.csv")
    assert table.columns == ["isic_id", "malignant"]
    joined = table.join(submission, on="isic_id")
    assert joined.height == table.height == submission.height
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-12)
    assert not (tmp_path / "no cache").exists()


def test_a_patient_is_predicted_the_same_alone(predict: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    patient = test["patient_id"][0]
    test.filter(pl.col("patient_id") == patient)[::-1].write_csv(tmp_path / "one.csv")
    _, table = predict(metadata=tmp_path / "one.csv")
    joined = table.join(pl.read_csv(finished_run / "submission.csv"), on="isic_id")
    assert joined.height == (test["patient_id"] == patient).sum()
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-6)


def test_predict_names_a_missing_column_and_notes_an_unknown_one(predict: Any, cohort_dir: Path, tmp_path: Path):
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    test.drop("tbp_lv_areaMM2").write_csv(tmp_path / "less.csv")
    answer, table = predict(metadata=tmp_path / "less.csv")
    assert (answer.code, table) == (2, None)
    assert "tbp_lv_areaMM2 is missing" in answer.err
    test.with_columns(pl.lit("x").alias("shoe_size")).write_csv(tmp_path / "more.csv")
    answer, table = predict(metadata=tmp_path / "more.csv")
    assert answer.code == 0
    assert table is not None
    assert "shoe_size" in answer.out


def test_a_lesion_without_image_is_predicted_from_its_metadata(
    predict: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    import h5py

    images = shutil.copy(cohort_dir / "test-image.hdf5", tmp_path / "fewer.hdf5")
    with h5py.File(images, "r+") as file:
        gone = next(iter(file))
        del file[gone]
    answer, table = predict(images=images)
    assert answer.code == 0, answer
    assert gone in answer.out
    assert table is not None
    assert table["malignant"].is_finite().all()
    before = dict(pl.read_csv(finished_run / "submission.csv").iter_rows())
    after = dict(table.iter_rows())
    assert after[gone] != before[gone]
    patient = dict(
        pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)["isic_id", "patient_id"].iter_rows()
    )
    for lesion, probability in after.items():
        if patient[lesion] != patient[gone]:
            assert probability == pytest.approx(before[lesion], abs=1e-12)


def test_predict_refuses_what_is_no_run(cli: Any, tmp_path: Path, cohort_dir: Path):
    (tmp_path / "empty").mkdir()
    answer = cli(
        *("predict", "--run", tmp_path / "empty", "--out", tmp_path / "p.csv"),
        *("--metadata", cohort_dir / "test-metadata.csv", "--images", cohort_dir / "test-image.hdf5"),
    )
    assert answer.code == 2
    assert "not a run folder" in answer.err


@pytest.mark.parametrize(
    "gone", ["oof/wide/fold_1", "tabular/catboost/fold_2/seed_42", "tabular"], ids=["image model", "member", "blend"]
)
def test_predict_refuses_a_run_that_is_not_finished(predict: Any, run_copy: Path, gone: str):
    (run_copy / gone / "report.json").unlink()
    answer, table = predict()
    assert (answer.code, table) == (2, None)
    assert "is not finished" in answer.err
    assert gone in answer.err


def test_predict_refuses_models_of_another_recipe(predict: Any, run_copy: Path):
    """A run that was begun anew with other settings and stopped: the recipe is new, the models are old."""
    recorded = run_copy / "recipe.toml"
    recorded.write_text(recorded.read_text().replace("learning_rate = ", "learning_rate = 1", 1))
    answer, table = predict()
    assert (answer.code, table) == (2, None)
    assert "another recipe" in answer.err


def test_nested_image_columns(submit: Any, predict: Any, run_copy: Path, finished_run: Path):
    before = written(run_copy)
    submit(run_copy, "--set", "tabular.nested=true")
    assert {path.name for path in (run_copy / "oof" / "narrow").glob("folds_*")} == {
        "folds_0_1",
        "folds_0_2",
        "folds_1_2",
    }
    after = written(run_copy)
    assert not {name for name in reports_changed(before, after) if "/fold_" in name and name.startswith("oof/")}
    usual, nested = (pl.read_parquet(run / "tabular" / "oof.parquet") for run in (finished_run, run_copy))
    assert usual["lightgbm_metadata"].equals(nested["lightgbm_metadata"])
    assert not usual.select("lightgbm", "catboost", "xgboost").equals(nested.select("lightgbm", "catboost", "xgboost"))
    answer, table = predict()
    assert answer.code == 0, answer
    submission = pl.read_csv(run_copy / "submission.csv")
    joined = table.join(submission, on="isic_id")
    np.testing.assert_allclose(joined["malignant"], joined["target"], rtol=0, atol=1e-12)


def metadata_only(raw: dict[str, Any]) -> None:
    raw["image_models"] = []
    raw["tabular"]["members"] = raw["tabular"]["members"][:1]
    raw["tabular"]["tune"] = {
        "trials": 3,
        "spaces": {"lightgbm": {"num_leaves": {"low": 2, "high": 31}, "learning_rate": {"low": 0.01, "high": 0.3}}},
    }


def test_tuning_goes_on_where_it_stopped_and_says_both_figures(
    cli: Any, variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = variant(metadata_only)
    whole = cli("tabular", "--recipe", recipe, "--run", tmp_path / "whole" / "tiny")
    assert whole.code == 0, whole
    assert "best of 3 trials" in whole.out
    assert "on folds the search did not see" in whole.out
    found = json.loads(
        (tmp_path / "whole" / "tiny" / "tabular" / "lightgbm_metadata" / "tuning" / "tuning.json").read_text()
    )
    fitted = json.loads(
        (
            tmp_path / "whole" / "tiny" / "tabular" / "lightgbm_metadata" / "fold_0" / "seed_42" / "report.json"
        ).read_text()
    )
    assert fitted["settings"]["member"] == found["member"]

    codes = []
    while not codes or codes[-1] == 143:
        monkeypatch.setattr(Display, "check_stop", StopAfter(12))
        answer = cli("tabular", "--recipe", recipe, "--run", tmp_path / "stopped" / "tiny")
        codes.append(answer.code)
        assert answer.code in (0, 143), answer
        assert len(codes) < 20
    assert codes.count(143) >= 1
    assert results(tmp_path / "stopped" / "tiny") == results(tmp_path / "whole" / "tiny")
    trials = [
        pl.read_parquet(tmp_path / name / "tiny" / "tabular" / "lightgbm_metadata" / "tuning" / "trials.parquet")
        for name in ("stopped", "whole")
    ]
    assert trials[0].drop("seconds").equals(trials[1].drop("seconds"))
