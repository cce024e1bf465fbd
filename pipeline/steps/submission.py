"""The last stage: predict the test lesions with every fold's models, write submission.csv, say what it scored."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.files import write_text
from pipeline.predicting import predict_members
from pipeline.report.metrics import refresh_metrics
from pipeline.run import Step
from pipeline.scoring import score_one, shown
from pipeline.steps.features import encoder_step, features_of
from pipeline.steps.oof import image_scores, write_table
from pipeline.steps.tabular import flat, member_jobs
from pipeline.workspace import Workspace

ANSWERS_FILE = "test-answers.csv"
"""The synthetic cohort's answer key; only printing the score opens it."""


def run_submission(space: Workspace) -> None:
    """Write submission.csv and metrics.json, then print the scores."""
    if space.data.test is None:
        raise DataError(f"{space.source_dir} has no test-metadata.csv, so there is nothing to submit")
    step = submission_step(space)
    path = space.run_dir / "submission.csv"
    reason = step.why()
    if reason is None:
        space.display.say(f"submission: {path} is up to date")
    else:
        if step.report_path.exists():
            space.display.say(f"submission: {reason}; written again")
        step.begin()
        columns = predict_test(space)
        write_table(
            space.run_dir / "tabular" / "test.parquet",
            space.data.test.ids,
            None,
            flat(columns, space.data.test.task.probability_columns),
        )
        write_submission(path, space.data.test, columns["blend"], space.data.submission_ids)
        step.finish(["submission.csv", "tabular/test.parquet"], scores=test_scores(space, columns))
    print_scores(space, refresh_metrics(space))


def submission_step(space: Workspace) -> Step:
    """The submission and everything it depends on."""
    data, recipe = space.data, space.recipe
    assert data.test is not None
    inputs = {"test table": data.test.fingerprint, "blend": sha_of_blend(space)}
    if recipe.image_models and data.test_images is not None:
        inputs["test image scores"] = Step("oof", space.run_dir / "oof", {}).checksum("test.parquet")
    for job in member_jobs(space):
        for name in job.step.artefacts():
            inputs[f"{job.step.name}, {name}"] = job.step.checksum(name)
    for fold in range(space.folds.count):
        inputs[f"encoder of fold {fold}"] = encoder_step(space, fold).checksum("encoder.json")
    return Step("submission", space.run_dir, {"synthetic": space.synthetic}, inputs, report_name="submission.json")


def sha_of_blend(space: Workspace) -> str:
    """Checksum of the blend's state and columns."""
    step = Step("blend", space.run_dir / "tabular", {})
    return step.checksum("blend.json") + step.checksum("oof.parquet")


def predict_test(space: Workspace) -> dict[str, npt.NDArray[np.float64]]:
    """Every member's test probabilities and their blend."""
    test = space.data.test
    assert test is not None
    scores = image_scores(space, "test.parquet") if space.data.test_images is not None else None
    table = features_of(space, test, scores, f"{len(test.ids):,} test lesions")
    with space.display.task("stage two: test lesions") as progress:
        return predict_members(space, table, progress)


def write_submission(
    path: Path, cohort: Cohort, probability: npt.NDArray[np.float64], order: npt.NDArray[np.str_] | None
) -> None:
    """Write the positive probability in the order of sample_submission.csv, checked before it gets its name."""
    task = cohort.task
    wanted = cohort.ids if order is None else order
    found = dict(zip(cohort.ids.tolist(), probability.tolist(), strict=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([task.lesion, task.target])
    writer.writerows((lesion, repr(found.get(lesion, float("nan")))) for lesion in wanted.tolist())
    validate_submission(text.getvalue(), wanted, task.lesion, task.target)
    write_text(path, text.getvalue())


def validate_submission(text: str, wanted: npt.NDArray[np.str_], lesion: str, target: str) -> None:
    """Refuse a submission that Kaggle would refuse, or that says nothing; all problems in one message."""
    frame = pl.read_csv(io.StringIO(text), schema={lesion: pl.String, target: pl.Float64})
    ids = frame[lesion]
    expected = pl.Series(wanted.tolist(), dtype=pl.String)
    problems = []
    for what, rows in (
        ("missing", expected.filter(~expected.is_in(ids.implode()))),
        ("not asked for", ids.filter(~ids.is_in(expected.implode()))),
        ("repeated", ids.filter(ids.is_duplicated()).unique()),
        ("without a finite probability", ids.filter(~frame[target].is_finite().fill_null(False))),
        ("outside [0, 1]", ids.filter(~frame[target].is_between(0, 1).fill_null(True) & frame[target].is_finite())),
    ):
        if len(rows):
            problems.append(f"{len(rows)} lesions {what} (first: {', '.join(rows.head(3).to_list())})")
    if problems:
        raise DataError(f"the submission is not valid: {'; '.join(problems)}. Nothing was written.")


@dataclass(frozen=True)
class Answers:
    """The synthetic cohort's answer key, in the order of the test table."""

    target: npt.NDArray[np.int64]
    split: npt.NDArray[Any]
    """`public` or `private`."""


def answers_of(space: Workspace) -> Answers | None:
    """The answer key; None with real data, whose answers nobody has."""
    test = space.data.test
    if not space.synthetic or test is None or not (space.source_dir / ANSWERS_FILE).is_file():
        return None
    answers = pl.DataFrame({"isic_id": test.ids.tolist()}).join(
        pl.read_csv(space.source_dir / ANSWERS_FILE), on="isic_id", how="left", maintain_order="left"
    )
    return Answers(answers["target"].to_numpy().astype(np.int64), answers["split"].to_numpy())


def test_scores(space: Workspace, columns: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any] | None:
    """Scores against the synthetic cohort's answer key; None with real data, whose answers nobody has."""
    answers = answers_of(space)
    if answers is None:
        return None
    target, split = answers.target, answers.split
    test = space.data.test
    assert test is not None
    images = {}
    if space.recipe.image_models and space.data.test_images is not None:
        frame = image_scores(space, "test.parquet")
        assert frame is not None
        images = {name: frame[name].to_numpy().astype(np.float64) for name in frame.columns if name != "lesion_id"}
    scores: dict[str, Any] = {}
    for part, rows in (
        ("public", np.flatnonzero(split == "public")),
        ("private", np.flatnonzero(split == "private")),
        ("all", np.arange(len(target))),
    ):
        scores[part] = {
            name: score_one(test.task, target[rows], column[rows], test.groups[rows], seed=space.recipe.seed)
            for name, column in {**images, **columns}.items()
        }
    return scores


def print_scores(space: Workspace, figures: dict[str, Any]) -> None:
    """Say what the run scored."""
    score = figures["score"]
    blend = figures["cross_validated"]["members"]["blend"]
    chance = "; chance 0.02" if score == "pauc" else ""
    space.display.say(f"cross-validated {score} {shown(blend, score)}, 95 % over patients{chance}", style="bold")
    if figures["test"] is not None:
        for part in ("public", "private"):
            space.display.say(f"demo leaderboard, {part}: {score} {shown(figures['test'][part]['blend'], score)}")
    if figures["synthetic"]:
        space.display.say(
            "these lesions are synthetic: the figures say that the pipeline works, not how well it would do"
        )
    space.display.say(f"wrote {space.run_dir / 'submission.csv'}")
