"""Predict new patients with a finished run: its fold models, encoders and boosters; no training data needed."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, examples
from data.files import atomic
from data.images.sources import ImageSource
from data.recipe import read_test
from data.synthetic.stand_in import is_invented
from pipeline.actions.outputs import refuse_output
from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.new_images import image_columns
from pipeline.plan import Plan, plan
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of


def run_predict(run: Run, runtime: Runtime, metadata_path: Path, images_path: Path | None, out_path: Path) -> None:
    """Write lesion id and probability of every row of the table."""
    refuse_output(out_path, (metadata_path, images_path, run.folder))
    finished = finished_plan(run)
    cohort, source, notes = read_test(run.recipe.data, metadata_path, images_path)
    for note in notes:
        runtime.display.warn(note)
    warn_of_invented(run, runtime, metadata_path)
    probability = probabilities_of(finished, runtime, cohort, source)
    frame = probability_frame(cohort, probability)
    with atomic(out_path) as temporary:
        frame.write_csv(temporary)
    runtime.display.say(f"wrote {len(cohort.ids):,} probabilities to {out_path}")


def probability_frame(cohort: Cohort, probability: npt.NDArray[np.float64]) -> pl.DataFrame:
    """Lesion id and a column per probability."""
    columns = cohort.task.probability_columns
    values = probability.reshape(len(cohort.ids), len(columns))
    return pl.DataFrame({cohort.task.lesion: cohort.ids.tolist()}).with_columns(
        [pl.Series(name, values[:, i]) for i, name in enumerate(columns)]
    )


def warn_of_invented(run: Run, runtime: Runtime, metadata_path: Path) -> None:
    """Say loudly when real lesions are given to models that have only ever seen invented ones."""
    if run.invented and not is_invented(metadata_path.parent):
        runtime.display.warn(
            f"the models of {run.folder} were trained on INVENTED lesions: what they say of real patients means "
            "nothing. Train on real data first (fusionnetx submission --recipe ... --data ...)"
        )


def probabilities_of(
    finished: Plan, runtime: Runtime, cohort: Cohort, source: ImageSource | None
) -> npt.NDArray[np.float64]:
    """What a finished run says of new lesions."""
    run = finished.run
    scores = None
    if run.recipe.image_models:
        scores = image_columns(finished.fold_models, run.recipe.data, runtime, cohort, source)
    table = features_of(run.recipe.features, runtime.display, cohort, scores, f"{len(cohort.ids):,} lesions")
    with runtime.display.task("stage two") as progress:
        return finished.stage_two.predict(table, runtime.threads, progress)["blend"]


def finished_plan(run: Run) -> Plan:
    """The plan of a run as its own records tell of it; DataError unless all that predicts is done and whole.

    The data are not needed: that the models are of the recipe in the folder, and their bytes as recorded, is checked.
    """
    if not any(run.folder.glob("features/fold_*/encoder.json")):
        raise DataError(f"{run.folder} has no trained stage two; run `fusionnetx tabular --run {run.folder}` first")
    found = plan(run, recorded_facts(run), finished_fold_count(run))
    unfinished, stale, damaged = [], [], []
    for step in found.for_prediction:
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
                f"run `fusionnetx submission --run {run.folder}` first"
            )
    return found
