"""The last step: predict the test lesions with every fold's models, write submission.csv, score what can be scored."""

import csv
import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.files import read_whole, write_text
from pipeline.columns import KEYS, flat, write_table
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.predicting import StageTwo
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import score_one
from pipeline.stage_two import features_of, image_scores
from pipeline.step import Need, Step, Work

FILE, TEST_FILE = "submission.csv", "tabular/test.parquet"
ANSWERS_FILE = "test-answers.csv"
"""The synthetic cohort's answer key; only printing the score opens it."""
SUM_TOLERANCE = 1e-6
"""How far the probabilities of a lesion's classes may add up to something else than 1."""


@dataclass(frozen=True)
class Submit(Work):
    """Write the submission."""

    verb: ClassVar[str] = "submission"
    stage: ClassVar[str] = "submission"
    batch: ClassVar[str] = "submission"
    announced: ClassVar[str] = FILE
    here: ClassVar[bool] = True
    for_prediction: ClassVar[bool] = False

    stage_two: StageTwo
    image_columns: bool
    """Whether stage one was asked about the test lesions."""

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Predict, write, score."""
        test = inputs.data.test
        assert test is not None
        reason = step.stale_reason()
        if step.report_path.exists():
            runtime.display.say(f"submission: {reason}; written again")
        attempt = step.begin()
        scores = image_scores(inputs, "test.parquet") if self.image_columns else None
        table = features_of(
            inputs.run.recipe.features, runtime.display, test, scores, f"{len(test.ids):,} test lesions"
        )
        with runtime.display.task("stage two: test lesions") as progress:
            columns = self.stage_two.predict(table, runtime.threads, progress)
        write_table(step.folder / TEST_FILE, test.ids, None, flat(columns, test.task.probability_columns))
        write_submission(step.folder / FILE, test, columns["blend"], inputs.data.submission_ids)
        attempt.finish([FILE, TEST_FILE], scores=test_scores(inputs, columns, scores))


def submission_step(
    run: Run, facts: InputFacts, table: Step | None, encoders: tuple[Step, ...], boosters: tuple[Step, ...], blend: Step
) -> Step:
    """The submission and everything it depends on."""
    needs = [
        Need("test table", facts.test_table or ""),
        Need("blend", step=blend, artefacts=("blend.json", "oof.parquet")),
    ]
    asked = table is not None and facts.tests_images(run.recipe)
    if asked:
        needs.append(Need("test image scores", step=table, artefacts=("test.parquet",)))
    needs += [Need(step.name, step=step) for step in boosters]
    needs += [Need(step.name, step=step, artefacts=("encoder.json",)) for step in encoders]
    return Step(
        kind="submission",
        key=(),
        name="submission",
        folder=run.folder,
        work=Submit(StageTwo(encoders, boosters, blend), asked),
        settings={"synthetic": run.invented},
        needs=tuple(needs),
        report_name="submission.json",
        waits_for=blend.waits_for,
    )


def write_submission(
    path: Any, cohort: Cohort, probability: npt.NDArray[np.float64], order: npt.NDArray[np.str_] | None
) -> None:
    """Write the answer in the order of sample_submission.csv, checked before it gets its name.

    Of two classes the positive probability, under the target's name; of more, a column for each class.
    """
    task = cohort.task
    names = (task.target,) if len(task.probability_columns) == 1 else task.probability_columns
    wanted = cohort.ids if order is None else order
    found = dict(zip(cohort.ids.tolist(), probability.reshape(len(cohort.ids), len(names)).tolist(), strict=True))
    nothing = [float("nan")] * len(names)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([task.lesion, *names])
    writer.writerows((lesion, *map(repr, found.get(lesion, nothing))) for lesion in wanted.tolist())
    validate_submission(text.getvalue(), wanted, task.lesion, *names)
    write_text(path, text.getvalue())


def validate_submission(text: str, wanted: npt.NDArray[np.str_], lesion: str, *columns: str) -> None:
    """Refuse a submission that Kaggle would refuse, or that says nothing; all problems in one message."""
    frame = pl.read_csv(io.StringIO(text), schema={lesion: pl.String, **dict.fromkeys(columns, pl.Float64)})
    ids, values = frame[lesion], frame[list(columns)]
    expected = pl.Series(wanted.tolist(), dtype=pl.String)
    numbers = pl.all().is_finite().fill_null(False)
    finite = values.select(pl.all_horizontal(numbers)).to_series()
    outside = values.select(pl.any_horizontal(numbers & ~pl.all().is_between(0, 1).fill_null(True))).to_series()
    uneven = finite & ((values.sum_horizontal() - 1).abs() > SUM_TOLERANCE)
    problems = []
    for what, rows in (
        ("missing", expected.filter(~expected.is_in(ids.implode()))),
        ("not asked for", ids.filter(~ids.is_in(expected.implode()))),
        ("repeated", ids.filter(ids.is_duplicated()).unique()),
        ("without a finite probability", ids.filter(~finite)),
        ("outside [0, 1]", ids.filter(outside)),
        ("whose probabilities do not add up to 1", ids.filter(uneven & (len(columns) > 1))),
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


def answers_of(inputs: Inputs) -> Answers | None:
    """The answer key; None with real data, whose answers nobody has."""
    test = inputs.data.test
    if not inputs.run.invented or test is None or not (inputs.source_dir / ANSWERS_FILE).is_file():
        return None
    answers = pl.DataFrame({"isic_id": test.ids.tolist()}).join(
        pl.read_csv(read_whole(inputs.source_dir / ANSWERS_FILE)), on="isic_id", how="left", maintain_order="left"
    )
    return Answers(answers["target"].to_numpy().astype(np.int64), answers["split"].to_numpy())


def test_scores(
    inputs: Inputs, columns: dict[str, npt.NDArray[np.float64]], image_columns: pl.DataFrame | None
) -> dict[str, Any] | None:
    """Scores against the synthetic cohort's answer key; None with real data, whose answers nobody has."""
    answers = answers_of(inputs)
    if answers is None:
        return None
    target, split = answers.target, answers.split
    test = inputs.data.test
    assert test is not None
    frame = pl.DataFrame() if image_columns is None else image_columns
    images = {name: frame[name].to_numpy().astype(np.float64) for name in frame.columns if name not in KEYS}
    scores: dict[str, Any] = {}
    for part, rows in (
        ("public", np.flatnonzero(split == "public")),
        ("private", np.flatnonzero(split == "private")),
        ("all", np.arange(len(target))),
    ):
        scores[part] = {
            name: score_one(test.task, target[rows], column[rows], test.groups[rows], seed=inputs.run.recipe.seed)
            for name, column in {**images, **columns}.items()
        }
    return scores
