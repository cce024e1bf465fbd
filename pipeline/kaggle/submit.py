"""What the notebook calls: the competition's test lesions, all models of a finished run, submission.csv."""

from pathlib import Path

from data.errors import RecipeError
from data.readers.isic2024 import read_competition
from pipeline.actions.outputs import refuse_output
from pipeline.actions.predict import finished_plan, probabilities_of
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.steps.submission import write_submission


def run_submit(run: Run, runtime: Runtime, folder: Path, out: Path) -> None:
    """Predict the test lesions of Kaggle's folder; no training data needed."""
    refuse_other_data(run)
    # A submission may lie beside what was published, but not in its place.
    refuse_output(out, (*folder.glob("t*-*"), *folder.glob("sample_submission*"), run.folder))
    finished = finished_plan(run)
    (cohort, source, notes), order = read_competition(folder)
    for note in notes:
        runtime.display.warn(note)
    write_submission(out, cohort, probabilities_of(finished, runtime, cohort, source), order)
    runtime.display.say(f"wrote {out}: {len(cohort.ids):,} lesions")


def refuse_other_data(run: Run) -> None:
    """RecipeError unless the run was trained on ISIC 2024's files."""
    if run.recipe.data.reader != "isic2024":
        raise RecipeError(
            f"{run.folder} was trained on {run.recipe.data.reader!r}; the competition's lesions have the columns "
            "of isic2024: give a run of such a recipe"
        )
