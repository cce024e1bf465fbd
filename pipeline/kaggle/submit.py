"""What the notebook calls: the competition's test lesions, all models of a finished run, submission.csv."""

from pathlib import Path

from data.errors import RecipeError
from data.readers.isic2024 import read_competition
from pipeline.steps.predict import probabilities_of
from pipeline.steps.submission import write_submission
from pipeline.workspace import Workspace


def run_submit(space: Workspace, folder: Path, out: Path) -> None:
    """Predict the test lesions of Kaggle's folder; no training data needed."""
    refuse_other_data(space)
    (cohort, source, notes), order = read_competition(folder)
    for note in notes:
        space.display.warn(note)
    write_submission(out, cohort, probabilities_of(space, cohort, source), order)
    space.display.say(f"wrote {out}: {len(cohort.ids):,} lesions")


def refuse_other_data(space: Workspace) -> None:
    """RecipeError unless the run was trained on ISIC 2024's files."""
    if space.recipe.data.reader != "isic2024":
        raise RecipeError(
            f"{space.run_dir} was trained on {space.recipe.data.reader!r}; the competition's lesions have the columns "
            "of isic2024: give a run of such a recipe"
        )
