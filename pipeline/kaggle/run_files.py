"""Which files of a run prediction needs: a small part of what training wrote."""

import shutil
from pathlib import Path

from pipeline.actions.predict import finished_plan
from pipeline.plan import Plan
from pipeline.run import FILE, RECIPE_FILE, Run


def files_for_prediction(finished: Plan) -> list[Path]:
    """What the run is, and the files of the steps that predict."""
    folder = finished.run.folder
    own = [folder / name for name in (RECIPE_FILE, FILE) if (folder / name).is_file()]
    return [*own, *(path for step in finished.for_prediction for path in step.files())]


def copy_run(run: Run, target: Path) -> int:
    """Copy them to `target`, in the same places; the bytes copied. DataError for a run that is not whole."""
    copied = 0
    for path in files_for_prediction(finished_plan(run)):
        there = target / path.relative_to(run.folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        copied += path.stat().st_size
    return copied
