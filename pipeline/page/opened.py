"""A finished run as views: its training lesions out of fold, its test part, and the new patients it was given."""

from pathlib import Path

import numpy as np
import polars as pl

from data.cohort import Task
from data.errors import DataError
from data.files import read_whole
from data.tables.parquet import read_parquet
from pipeline.actions.predict import finished_plan, without_image
from pipeline.answers import Said
from pipeline.columns import read_columns, stacked
from pipeline.decision import Decision, decision_of
from pipeline.explain.population import Population, class_probability, known_populations
from pipeline.inputs import Inputs
from pipeline.page.measured import Measured
from pipeline.page.view import View
from pipeline.plan import Plan, not_done
from pipeline.report.finished import SUBJECT, Floats
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.steps.calibration import TABLE

WORST = ("malignant", "melanoma", "mel")
"""Names of the class to look for, where there are several."""


class Opened:
    """What the page shows of a run, and what it asks its models by."""

    def __init__(self, inputs: Inputs, runtime: Runtime) -> None:
        self.run: Run = inputs.run
        self.runtime = runtime
        self.decision: Decision = decision_of(self.run)
        self.views: dict[str, View] = {}
        self.trouble: str | None = None
        """Why the run's own lesions cannot be shown."""
        self.measured: Measured | None = None
        self.plan: Plan
        try:
            populations = known_populations(inputs, runtime)
        except DataError as error:
            # The models can still be asked about new patients.
            self.trouble, self.plan = str(error), finished_plan(self.run)
            return
        self.plan = populations[0].plan
        refuse_stale(self.plan)
        for population in populations:
            view = self._training(population) if population.kind == "training" else self._test(population)
            if view is not None:
                self.views[view.key] = view.warm()

    def _training(self, population: Population) -> View:
        finished = population.finished
        assert finished is not None
        task, towards = population.cohort.task, suspicious(population.cohort.task)
        self.measured = Measured.of(
            (finished.target == towards).astype(np.int64), class_probability(finished.blend, towards)
        )
        folder = self.plan["calibration",].folder
        calibrated = stacked(read_columns(folder / TABLE, finished.ids), SUBJECT)
        absent = without_image(self.run, population.scores, len(finished.ids))
        return View(
            key="training",
            title=f"Training {task.row_noun}s, out of fold",
            said=Said(population.cohort, finished.blend, absent),
            columns=finished.columns,
            calibrated=calibrated,
            decision=self.decision,
            images=population.images,
            towards=towards,
            measured=self.measured,
            population=population,
        )

    def _test(self, population: Population) -> View | None:
        task, ids = population.cohort.task, population.ids
        path = self.run.folder / "submission.csv"
        names = (task.target,) if len(task.classes) == 2 else task.probability_columns
        if not path.is_file():
            return None
        answers = pl.read_csv(read_whole(path), schema_overrides={task.lesion: pl.String})
        given = pl.DataFrame({task.lesion: ids.tolist()}).join(
            answers, on=task.lesion, how="left", maintain_order="left"
        )
        values = given.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        blend: Floats = np.ascontiguousarray(values[:, 0] if len(names) == 1 else values)
        columns = {} if population.scores is None else image_model_columns(self.run, population.scores)
        return self.view_of(population, {**columns, SUBJECT: blend}, "test", "Test part")

    def view_of(self, population: Population, columns: dict[str, Floats], key: str, title: str) -> View:
        """Lesions without an answer as a view."""
        absent = without_image(self.run, population.scores, len(population.ids))
        return View(
            key=key,
            title=title,
            said=Said(population.cohort, columns[SUBJECT], absent),
            columns=columns,
            calibrated=self.decision.calibrator.apply(columns[SUBJECT]),
            decision=self.decision,
            images=population.images,
            towards=suspicious(population.cohort.task),
            measured=self.measured,
            population=population,
        )

    def mark(self) -> str:
        """What the models are: another after the run was trained again."""
        found = [step.report() for step in (self.plan["blend",], self.plan["calibration",])]
        return "-".join(str((report or {}).get("fingerprint")) for report in found)


def refuse_stale(plan: Plan) -> None:
    """Thresholds must be those of the scores that are shown."""
    if stale := not_done((plan["calibration",],)):
        reason = next(iter(stale.values()))
        raise DataError(
            f"the calibration of {plan.run.folder} is not done or stale ({reason}); run "
            f"`fusionnetx submission --run {plan.run.folder}` first"
        )


def suspicious(task: Task) -> int:
    """The class to look for: of two the positive one, of more a malignant one by its name, else the last."""
    if len(task.classes) == 2:
        return 1
    named = [place for place, name in enumerate(task.classes) if name.lower() in WORST]
    return (named or [len(task.classes) - 1])[0]


def image_model_columns(run: Run, scores: pl.DataFrame) -> dict[str, Floats]:
    """Stage one's columns by model."""
    plain = {
        name: scores[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name in scores.columns
        if name != "lesion_id"
    }
    return {model.name: stacked(plain, model.name) for model in run.recipe.image_models}


def stored_scores(path: Path) -> pl.DataFrame | None:
    """Stage one's columns of new patients as they were kept; None where there are none."""
    return read_parquet(path, "Give the patients again.")[0] if path.is_file() else None
