"""Calibration as a part of a run, predict for people, and another site's calibration, through the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from data.errors import DataError, RecipeError
from data.files import sha256_of
from data.scores.calibrate import calibrate
from data.scores.calibrators import Calibrator, log_odds
from data.scores.conformal import set_rule
from data.scores.thresholds import kept_threshold
from pipeline.actions.recalibrate import SHIFT_SD, SLOPE_SD, fit_site, fitted_apart
from pipeline.decision import Known, decision_for, decision_of, refuse_name
from pipeline.recipe import parse_recipe
from pipeline.run import Run

pytestmark = pytest.mark.slow

NOT_CLASSES = {"lesion_id", "image_id", "most_probable", "call", "comparable", "notes"}


@pytest.fixture
def stored(finished_run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((finished_run / "tabular/calibration/calibration.json").read_text())
    return loaded


def test_the_stored_calibrator_is_the_one_of_the_out_of_fold_scores(
    finished_run: Path, cohort_dir: Path, stored: dict[str, Any]
):
    table = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    found = calibrate(train["target"].to_numpy(), table["blend"].to_numpy(), table["fold"].to_numpy().astype(np.int64))
    assert Calibrator.from_json(stored["calibrator"]) == found.calibrator
    assert stored["log_loss"] == found.log_loss
    for name, column in (("as_given", table["blend"].to_numpy()), ("calibrated", found.cross_fitted)):
        theirs = sklearn_log_loss(train["target"], column)
        assert stored[name]["log_loss"]["estimate"] == pytest.approx(theirs, rel=1e-9)
    kept = pl.read_parquet(finished_run / "tabular/calibration/calibrated.parquet")
    assert kept["lesion_id"].to_list() == table["lesion_id"].to_list()
    np.testing.assert_array_equal(kept["blend"].to_numpy(), found.cross_fitted)
    assert stored["calibrated"]["log_loss"]["estimate"] < stored["as_given"]["log_loss"]["estimate"]


def test_thresholds_are_of_rising_sensitivity_and_falling_height(stored: dict[str, Any]):
    kept = [one for one in stored["thresholds"] if one["threshold"] is not None]
    assert [one["target"] for one in stored["thresholds"]] == [0.8, 0.9, 0.95]
    assert kept
    heights = [one["threshold"] for one in kept]
    assert heights == sorted(heights, reverse=True)
    for one in kept:
        assert one["bound"] < one["target"]


def test_what_thresholds_and_sets_did_is_tried_on_folds_that_did_not_set_them(
    finished_run: Path, cohort_dir: Path, stored: dict[str, Any]
):
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema_length=None)
    table = pl.read_parquet(finished_run / "tabular" / "oof.parquet")
    target, groups = train["target"].to_numpy(), train["patient_id"].to_numpy().astype(str)
    score, fold = table["blend"].to_numpy(), table["fold"].to_numpy()
    tried = 0
    for one in stored["thresholds"]:
        flagged, enough = np.zeros(len(score), dtype=bool), True
        for part in range(3):
            others = (fold != part) & (target == 1)
            kept = kept_threshold(score[others], groups[others], one["target"])
            enough &= kept.threshold is not None
            if kept.threshold is not None:
                flagged[fold == part] = score[fold == part] >= kept.threshold
        if not enough:
            assert one["workload"] is None
            continue
        tried += 1
        shares = [flagged[(groups == name) & (target == 1)].mean() for name in np.unique(groups[target == 1])]
        assert one["workload"]["sensitivity_of_patients"] == pytest.approx(np.mean(shares))
        assert one["workload"]["specificity"] == pytest.approx(1 - flagged[target == 0].mean())
    assert tried
    covered = np.zeros(len(score), dtype=bool)
    for part in range(3):
        rule = set_rule(target[fold != part], score[fold != part], groups[fold != part], 0.9)
        own = np.flatnonzero(fold == part)
        covered[own] = rule.apply(score[own])[np.arange(len(own)), target[own]]
    shares = [covered[target == place].mean() for place in (0, 1)]
    assert stored["sets"]["coverage"]["covered"] == pytest.approx(shares)


def test_labels_of_a_fold_have_no_say_in_how_it_is_flagged():
    target, score, groups = shifted(5, 90, 1.0)
    part = (groups % 3).astype(np.int64)
    changed = np.where(part == 1, 1 - target, target)
    before, after = (Known(y, score, groups, part) for y in (target, changed))
    for one in (before.flagged_apart(0.9), before.sets_apart(0.9)), (after.flagged_apart(0.9), after.sets_apart(0.9)):
        assert all(found is not None for found in one)
    np.testing.assert_array_equal(before.flagged_apart(0.9)[part == 1], after.flagged_apart(0.9)[part == 1])
    np.testing.assert_array_equal(before.sets_apart(0.9)[part == 1], after.sets_apart(0.9)[part == 1])
    assert not np.array_equal(before.flagged_apart(0.9)[part != 1], after.flagged_apart(0.9)[part != 1])
    assert Known(target, score, groups, np.zeros_like(part)).flagged_apart(0.9) is None


def test_calibration_changes_neither_scores_nor_submission(cli: Any, run_copy: Path, tiny_recipe: Path):
    watched = [run_copy / name for name in ("submission.csv", "tabular/oof.parquet", "tabular/blend.json")]
    before = [sha256_of(path) for path in watched]
    changes = ("--set", "tabular.calibrate.method=isotonic", "--set", "tabular.calibrate.sensitivities=[0.7]")
    answer = cli("submission", "--run", run_copy, *changes, "--replace")
    assert answer.code == 0, answer
    assert [sha256_of(path) for path in watched] == before
    decision = decision_of(Run.open(run_copy))
    assert decision.calibrator.method == "isotonic"
    assert [one.target for one in decision.thresholds] == [0.7]


def predicted(cli: Any, run: Path, folder: Path, out: Path, *options: object, metadata: Path | None = None) -> Any:
    return cli(
        *("predict", "--run", run, "--out", out, "--metadata", metadata or folder / "test-metadata.csv"),
        *("--images", folder / "test-image.hdf5", *options),
    )


def test_predict_for_people_and_for_programs(cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    answer = predicted(cli, finished_run, cohort_dir, tmp_path / "people.csv")
    assert answer.code == 0, answer
    assert "looked at" in answer.out
    people = pl.read_csv(tmp_path / "people.csv")
    submission = pl.read_csv(finished_run / "submission.csv")
    joined = people.join(submission, on="isic_id")
    np.testing.assert_allclose(joined["score"], joined["target"], rtol=0, atol=1e-12)
    expected = decision_of(Run.open(finished_run)).calibrator.apply(joined["target"].to_numpy())
    np.testing.assert_allclose(joined["probability"], expected, rtol=6e-4)
    answer = predicted(cli, finished_run, cohort_dir, tmp_path / "programs.csv", "--plain")
    assert answer.code == 0, answer
    programs = pl.read_csv(tmp_path / "programs.csv")
    assert programs.columns == ["isic_id", "malignant"]
    assert programs["malignant"].to_list() == people["score"].to_list()


def test_predict_notes_a_missing_image_and_a_lone_lesion(
    cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path
):
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    alone = test.filter(pl.col("patient_id") == test["patient_id"][0]).head(1)
    fake = test.filter(pl.col("patient_id") != test["patient_id"][0]).head(30)
    fake = fake.with_columns(
        isic_id=pl.when(pl.arange(30) == 0).then(pl.lit("ISIC_9999999")).otherwise("isic_id"),
        age_approx=pl.when(pl.arange(30) == 1).then(pl.lit("115")).otherwise("age_approx"),
    )
    pl.concat([alone, fake]).write_csv(tmp_path / "new.csv")
    answer = predicted(cli, finished_run, cohort_dir, tmp_path / "a.parquet", metadata=tmp_path / "new.csv")
    assert answer.code == 0, answer
    table = pl.read_parquet(tmp_path / "a.parquet")
    assert table["comparable"][0] is False
    assert "no usable image" in table["notes"][1]
    assert "age_approx 115.0 outside" in table["notes"][2]
    assert "with fewer than" in answer.out


def test_predict_refuses_before_any_work(cli: Any, finished_run: Path, cohort_dir: Path, tmp_path: Path):
    for out, words in (
        (tmp_path / "a.txt", "must end in"),
        (finished_run / "tabular" / "oof.parquet", "lies in the run folder"),
        (finished_run / "answers.csv", "lies in the run folder"),
        (cohort_dir / "test-metadata.csv", "is among what is read"),
    ):
        before = sha256_of(out) if out.exists() else None
        answer = predicted(cli, finished_run, cohort_dir, out)
        assert (answer.code, before) == (2, sha256_of(out) if out.exists() else None)
        assert words in answer.err
    answer = predicted(cli, finished_run, cohort_dir, tmp_path / "a.csv", "--calibration", "nowhere")
    assert answer.code == 2
    assert "nowhere.json is missing" in answer.err
    assert not list(tmp_path.iterdir())


def test_a_damaged_calibration_is_named(run_copy: Path):
    path = run_copy / "tabular/calibration/calibration.json"
    whole = json.loads(path.read_text())
    endless = [{**whole["thresholds"][0], "threshold": float("inf")}]
    huge = [{**whole["thresholds"][0], "threshold": 10**400}]
    for change in ({"thresholds": huge}, {"sets": {"level": 0.9, "thresholds": [10**400, 0.5]}}):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(DataError, match=r"calibration\.json is damaged \(OverflowError"):
            decision_of(Run.open(run_copy))
    for change in ({"thresholds": [{}]}, {"thresholds": endless}, {"calibrator": {}}, {"sets": 3}, {"seen": []}):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(DataError, match="calibrat"):
            decision_of(Run.open(run_copy))
    path.write_text("[]")
    with pytest.raises(DataError, match="no object"):
        decision_of(Run.open(run_copy))


@pytest.fixture
def site(cohort_dir: Path, tmp_path: Path) -> Path:
    """The test lesions with their answers, as a labelled site with the layout of training data."""
    folder = tmp_path / "site"
    folder.mkdir()
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
    test = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    answers = pl.read_csv(cohort_dir / "test-answers.csv", infer_schema=False).select("isic_id", "target")
    labelled = test.join(answers, on="isic_id")
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in train.columns if name not in labelled.columns]
    labelled.with_columns(missing).select(train.columns).write_csv(folder / "train-metadata.csv")
    (folder / "train-image.hdf5").symlink_to(cohort_dir / "test-image.hdf5")
    return folder


def test_another_site_gets_its_own_calibration(cli: Any, run_copy: Path, cohort_dir: Path, site: Path, tmp_path: Path):
    answer = cli("recalibrate", "--run", run_copy, "--data", site, "--name", "clinic_b")
    assert answer.code == 0, answer
    assert "150 lesions of 12 patients" in answer.out
    run = Run.open(run_copy)
    own, other = decision_of(run), decision_for(run, "clinic_b")
    assert other.calibrator.curves[:-1] == own.calibrator.curves
    # Twelve patients can promise 80 and perhaps 90 %, never 95.
    assert other.thresholds[2] == own.thresholds[2]
    for name, options in (("own", ()), ("site", ("--calibration", "clinic_b"))):
        assert predicted(cli, run_copy, cohort_dir, tmp_path / f"{name}.csv", *options).code == 0
    first, second = (pl.read_csv(tmp_path / f"{name}.csv") for name in ("own", "site"))
    assert first["score"].to_list() == second["score"].to_list()
    assert first["rank"].to_list() == second["rank"].to_list()
    assert first["probability"].to_list() != second["probability"].to_list()
    # Of other models than these it is refused.
    path = run_copy / "tabular/calibration/calibration.json"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(DataError, match="made with other models"):
        decision_for(run, "clinic_b")


def test_lesions_that_the_models_know_teach_nothing(cli: Any, run_copy: Path, cohort_dir: Path):
    answer = cli("recalibrate", "--run", run_copy, "--data", cohort_dir, "--name", "same")
    assert answer.code == 2
    assert "600 of its 600 lesions are among those" in answer.err
    assert not (run_copy / "calibrations").exists()
    with pytest.raises(DataError, match="letters, digits"):
        refuse_name("../../etc")


def shifted(seed: int, patients: int, shift: float) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), 10)
    logit = rng.normal(-2, 1.5, len(groups))
    target = (rng.random(len(groups)) < 1 / (1 + np.exp(-(logit + shift)))).astype(np.int64)
    return target, 1 / (1 + np.exp(-logit)), groups


def test_few_patients_shrink_to_what_was_and_many_do_not():
    few, many = (fit_site(*shifted(0, count, 1.5)) for count in (1, 400))
    assert abs(few.shift) < abs(many.shift)
    assert many.shift == pytest.approx(1.5, abs=0.2)
    assert many.slope == pytest.approx(1.0, abs=0.1)
    assert few.shift_error > 3 * many.shift_error
    assert few.shift_error <= SHIFT_SD
    assert few.slope_error <= SLOPE_SD


def test_a_site_like_the_old_ones_stays_as_it_is_and_no_curve_falls():
    same = fit_site(*shifted(1, 300, 0.0))
    assert abs(same.shift) < 3 * same.shift_error
    target, before, groups = shifted(2, 50, 0.0)
    against = (before < np.median(before)).astype(np.int64)
    assert fit_site(against, before, groups).slope > 0
    one_patient = fitted_apart(target[:10], before[:10], groups[:10])
    np.testing.assert_array_equal(one_patient, before[:10])
    after = fitted_apart(target, before, groups)
    assert after.shape == before.shape
    assert np.all(np.isfinite(log_odds(after)))


@pytest.mark.parametrize(
    "wrong",
    [{"sensitivities": [0.9, 0.8]}, {"sensitivities": [1.0]}, {"level": 1.5}, {"method": "magic"}, {"methods": "beta"}],
)
def test_recipes_that_cannot_be_meant_are_refused(wrong: dict[str, Any]):
    with pytest.raises(RecipeError, match=r"tabular\.calibrate"):
        parse_recipe({"tabular": {"calibrate": wrong}}, "test")
