"""Predict new patients with a finished run: its fold models, encoders and boosters; no training data needed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, examples
from data.held import scratch_folder
from data.images.sources import ImageSource
from data.new_lesions import NewLesions, new_lesions
from data.spill import Spill
from data.synthetic.stand_in import is_invented
from data.tables.csv import ROW
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from pipeline.actions.answer_summary import Summary
from pipeline.answer_files import refuse_bad_target, refuse_too_many, write_answers
from pipeline.answers import Said, answer_frame
from pipeline.columns import stacked
from pipeline.decision import decision_for
from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.new_images import columns_of_parts, image_columns
from pipeline.notes import Strangers
from pipeline.plan import Plan, plan
from pipeline.report.words import several
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of
from pipeline.step import Step


@dataclass(frozen=True)
class Asked:
    """What `predict` was asked for."""

    metadata: Path
    images: Path | None
    out: Path
    plain: bool = False
    """The lesion and the score alone, for programs."""
    calibration: str | None = None
    """Name of the calibration of another site; None: the run's own."""


def run_predict(run: Run, runtime: Runtime, asked: Asked) -> None:
    """Write what the run says of every row of the table, and print a summary."""
    refuse_bad_target(asked.out, (asked.metadata, asked.images), run.folder)
    finished = finished_plan(run)
    decision = None if asked.plain else decision_for(run, asked.calibration)
    with new_lesions(run.recipe.data, asked.metadata, asked.images) as lesions:
        refuse_too_many(asked.out, lesions.rows)
        for note in lesions.notes:
            runtime.display.warn(note)
        warn_of_invented(run, runtime, asked.metadata)
        task = lesions.whole.task
        if decision is None:

            def plain(said: Said) -> pl.DataFrame:
                return probability_frame(said.cohort, said.score)

            write_answers(in_blocks(finished, runtime, lesions, plain), asked.out)
            runtime.display.say(f"wrote {lesions.rows:,} probabilities to {asked.out}")
            return
        strange, summary = Strangers(decision.seen), Summary(task, decision)

        def answers(said: Said) -> pl.DataFrame:
            frame = answer_frame(said, decision)
            summary.add(frame)
            return frame

        write_answers(in_blocks(finished, runtime, lesions, answers), asked.out)
        for part in lesions:
            strange.see(part)
        for warning in strange.warnings():
            runtime.display.warn(warning)
        summary.show(runtime.display)
        runtime.display.say(f"wrote {several(lesions.rows, task.row_noun)} to {asked.out}")


def probability_frame(cohort: Cohort, probability: npt.NDArray[np.float64]) -> pl.DataFrame:
    """Lesion id and a column per probability."""
    columns = cohort.task.probability_columns
    values = probability.reshape(len(cohort.ids), len(columns))
    return pl.DataFrame({cohort.task.lesion: cohort.ids.tolist()}).with_columns(
        [pl.Series(name, values[:, i]).fill_nan(None) for i, name in enumerate(columns)]
    )


def warn_of_invented(run: Run, runtime: Runtime, metadata_path: Path) -> None:
    """Say loudly when real lesions are given to models that have only ever seen invented ones."""
    if run.invented and not is_invented(metadata_path.parent):
        runtime.display.warn(
            f"the models of {run.folder} were trained on INVENTED lesions: what they say of real patients means "
            "nothing. Train on real data first (fusionnetx submission --recipe ... --data ...)"
        )


def in_blocks(
    finished: Plan, runtime: Runtime, lesions: NewLesions, answers: Callable[[Said], pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Answers in the order of the table, made block by block of whole patients; memory holds one block."""
    run = finished.run
    batches = list(patient_batches(lesions.patients, run.recipe.features, AT_ONCE))
    if len(batches) == 1:
        cohort = lesions.part(pl.concat([part.table for part in lesions]))
        yield answers(said_of(finished, runtime, cohort, lesions.images(cohort)))
        return
    block = np.empty(lesions.rows, dtype=np.int32)
    for number, rows in enumerate(batches):
        block[rows] = number
    with scratch_folder() as scratch:
        tables, scores, done = (Spill(scratch / name) for name in ("tables", "scores", "answers"))
        said = None
        if run.recipe.image_models:
            models, data = finished.fold_models, run.recipe.data
            said = columns_of_parts(models, data, runtime, lesions, lesions.images, lesions.rows)
        first = 0
        for part in lesions:
            own = block[first : first + len(part.table)]
            tables.add(part.table, own)
            if said is not None:
                scores.add(next(said), own)
            first += len(part.table)
        # What remains is the word on lesions without an image.
        for _ in said or ():
            pass
        for number, rows in enumerate(batches):
            part, seen = lesions.part(tables.take(number)), None if said is None else scores.take(number)
            columns = of_boosters(finished, runtime, part, seen)
            frame = answers(Said(part, columns["blend"], without_image(run, seen, len(rows))))
            done.add(frame.with_columns(pl.Series(ROW, rows)), rows // AT_ONCE)
        for window in range(-(-lesions.rows // AT_ONCE)):
            yield done.take(window).sort(ROW).drop(ROW)


def probabilities_of(
    finished: Plan, runtime: Runtime, cohort: Cohort, source: ImageSource | None
) -> npt.NDArray[np.float64]:
    """What a finished run says of new lesions."""
    return said_of(finished, runtime, cohort, source).score


def said_of(finished: Plan, runtime: Runtime, cohort: Cohort, source: ImageSource | None) -> Said:
    """The same, and of which lesions an image was missing."""
    columns, absent = columns_of(finished, runtime, cohort, source)
    return Said(cohort, columns["blend"], absent)


def columns_of(
    finished: Plan, runtime: Runtime, cohort: Cohort, source: ImageSource | None
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.bool_]]:
    """What every image model, every member and the blend say of new lesions, and which lack an image."""
    run = finished.run
    scores = None
    if run.recipe.image_models:
        scores = image_columns(finished.fold_models, run.recipe.data, runtime, cohort, source)
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for rows in patient_batches(cohort.groups, run.recipe.features, AT_ONCE):
        part, own = replace(cohort, table=cohort.table[rows]), None if scores is None else scores[rows]
        for name, column in of_boosters(finished, runtime, part, own).items():
            whole = columns.setdefault(name, np.full((len(cohort.ids), *column.shape[1:]), np.nan))
            whole[rows] = column
    seen = {} if scores is None else {name: scores[name].to_numpy() for name in scores.columns if name != "lesion_id"}
    of_models = {model.name: stacked(seen, model.name) for model in run.recipe.image_models}
    return {**of_models, **columns}, without_image(run, scores, len(cohort.ids))


def of_boosters(
    finished: Plan, runtime: Runtime, part: Cohort, scores: pl.DataFrame | None
) -> dict[str, npt.NDArray[np.float64]]:
    """What every member and the blend say of whole patients."""
    label = f"{len(part.table):,} lesions"
    table = features_of(finished.run.recipe.features, runtime.display, part, scores, label)
    with runtime.display.task("stage two") as progress:
        return finished.stage_two.predict(table, runtime.threads, progress)


def without_image(run: Run, scores: pl.DataFrame | None, count: int) -> npt.NDArray[np.bool_]:
    """Lesions of which a network that sees images said nothing."""
    seeing = tuple(model.name for model in run.recipe.image_models if model.backbone != "none")
    if scores is None or not seeing:
        return np.zeros(count, dtype=np.bool_)
    columns = [name for name in scores.columns if name.partition(":")[0] in seeing]
    absent = scores.select(pl.any_horizontal(pl.col(columns).is_null())).to_series().to_numpy()
    return np.asarray(absent, dtype=np.bool_)


def finished_plan(run: Run) -> Plan:
    """The plan of a run as its own records tell of it; DataError unless all that predicts is done and whole.

    The data are not needed: that the models are of the recipe in the folder, and their bytes as recorded, is checked.
    """
    if not any(run.folder.glob("features/fold_*/encoder.json")):
        raise DataError(f"{run.folder} has no trained stage two; run `fusionnetx tabular --run {run.folder}` first")
    found = plan(run, recorded_facts(run), finished_fold_count(run))
    refuse_unfinished(run, found.for_prediction)
    return found


def refuse_unfinished(run: Run, steps: Iterable[Step], verb: str = "submission") -> None:
    """DataError unless the steps are done, of the recipe in the folder, and whole."""
    unfinished, stale, damaged = [], [], []
    for step in steps:
        name = str(step.folder.relative_to(run.folder))
        if step.report() is None:
            unfinished.append(name)
            continue
        # Libraries read a damaged model as another model, or end the process over it.
        damage = [f"{name}/{trouble}" for trouble in step.damage(every_byte=True)]
        damaged += damage
        if not damage and step.stale_reason(inputs_known=False):
            stale.append(name)
    for names, what in ((unfinished, " has no report.json"), (stale, " was made with another recipe"), (damaged, "")):
        if names:
            raise DataError(
                f"run {run.folder} is not finished or not whole: {examples(names)}{what}; "
                f"run `fusionnetx {verb} --run {run.folder}` first"
            )


AT_ONCE = 25_000
"""Lesions, and the last patient's others: their features take some 50 MB, and a batch costs little beside its work."""


def patient_batches(groups: npt.NDArray[Any], recipe: FeatureRecipe, most: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of whole patients; every row at once where a family of features looks at the whole table."""
    if len(groups) <= most or any(FAMILIES[name].looks_at == "table" for name in recipe.chosen):
        yield np.arange(len(groups))
        return
    _, first, patient = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.bincount(patient)
    order = np.argsort(first)
    start = np.empty(len(counts), dtype=np.int64)
    start[order] = np.cumsum(counts[order]) - counts[order]
    batch = (start // most)[patient]
    for one in np.unique(batch):
        yield np.flatnonzero(batch == one).astype(np.int64)
