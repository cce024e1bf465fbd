"""Which files of a run prediction needs: a small part of what training wrote."""

import shutil
from pathlib import Path

from pipeline.predicting import fold_count
from pipeline.run import Step
from pipeline.steps.features import encoder_path
from pipeline.steps.fold_models import FoldModel
from pipeline.steps.predict import refuse_unfinished
from pipeline.steps.tabular import member_dir
from pipeline.steps.tuning import tuned_members, tuning_dir, wanted_members
from pipeline.workspace import Workspace


def files_for_prediction(space: Workspace) -> list[Path]:
    """Files of the steps that `fusionnetx predict` reads; DataError when the run is not finished or not whole."""
    folds = fold_count(space)
    refuse_unfinished(space, folds)
    members = tuned_members(space)
    folders = [
        *(FoldModel(space, model, (fold,)).folder for model in space.recipe.image_models for fold in range(folds)),
        *(encoder_path(space.run_dir, fold).parent for fold in range(folds)),
        *(member_dir(space, m, fold, seed) for m in members for fold in range(folds) for seed in m.seeds),
        *(tuning_dir(space, member) for member in wanted_members(space)),
        space.run_dir / "tabular",
    ]
    files = [space.run_dir / "recipe.toml"]
    for folder in folders:
        step = Step("", folder, {})
        files += [step.report_path, *(folder / name for name in step.artefacts())]
    return files


def copy_run(space: Workspace, target: Path) -> int:
    """Copy them to `target`, in the same places; the bytes copied."""
    copied = 0
    for path in files_for_prediction(space):
        there = target / path.relative_to(space.run_dir)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        copied += path.stat().st_size
    return copied
