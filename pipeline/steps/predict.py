"""Predict new patients with a finished run: its fold models, encoders and boosters; no training data needed."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, examples
from data.files import atomic, fingerprint
from data.images.sources import ImageSource
from data.recipe import read_test
from pipeline.new_images import image_columns
from pipeline.predicting import fold_count, predict_members
from pipeline.run import Step, artefact_trouble
from pipeline.steps.features import encoder_path, features_of
from pipeline.steps.fold_models import FoldModel
from pipeline.steps.tabular import MemberFold
from pipeline.steps.tuning import tuned_members
from pipeline.workspace import Workspace


def run_predict(space: Workspace, metadata_path: Path, images_path: Path | None, out_path: Path) -> None:
    """Write lesion id and probability of every row of the table."""
    cohort, source, notes = read_test(space.recipe.data, metadata_path, images_path)
    for note in notes:
        space.display.warn(note)
    probability = probabilities_of(space, cohort, source)
    columns = cohort.task.probability_columns
    frame = pl.DataFrame({cohort.task.lesion: cohort.ids.tolist()}).with_columns(
        [pl.Series(name, probability.reshape(len(cohort.ids), len(columns))[:, i]) for i, name in enumerate(columns)]
    )
    with atomic(out_path) as temporary:
        frame.write_csv(temporary)
    space.display.say(f"wrote {len(cohort.ids):,} probabilities to {out_path}")


def probabilities_of(space: Workspace, cohort: Cohort, source: ImageSource | None) -> npt.NDArray[np.float64]:
    """What the finished run says of new lesions."""
    folds = fold_count(space)
    refuse_unfinished(space, folds)
    scores = image_columns(space, cohort, source, folds) if space.recipe.image_models else None
    table = features_of(space, cohort, scores, f"{len(cohort.ids):,} lesions")
    with space.display.task("stage two") as progress:
        return predict_members(space, table, progress)["blend"]


def refuse_unfinished(space: Workspace, folds: int) -> None:
    """Refuse a run whose models are not all done, or are of another recipe than the one in its folder."""
    jobs: list[FoldModel | MemberFold] = [
        *(FoldModel(space, model, (fold,)) for model in space.recipe.image_models for fold in range(folds)),
        *(
            MemberFold(space, member, fold, seed)
            for member in tuned_members(space)
            for fold in range(folds)
            for seed in member.seeds
        ),
    ]
    unfinished, stale, damaged = [], [], []
    for job in jobs:
        report = Step("", job.folder, {}).report()
        name = str(job.folder.relative_to(space.run_dir))
        if report is None:
            unfinished.append(name)
        elif fingerprint(report["settings"]) != fingerprint(job.settings):
            stale.append(name)
    if not (space.run_dir / "tabular" / "report.json").is_file():
        unfinished.append("tabular")
    # Libraries read a damaged model as another model, or end the process over it.
    for folder in (*(job.folder for job in jobs), *encoder_folders(space, folds), space.run_dir / "tabular"):
        for artefact, facts in (Step("", folder, {}).report() or {"artefacts": {}})["artefacts"].items():
            if trouble := artefact_trouble(folder / artefact, facts, every_byte=True):
                damaged.append(f"{(folder / artefact).relative_to(space.run_dir)} {trouble}")
    for names, what in ((unfinished, " has no report.json"), (stale, " was made with another recipe"), (damaged, "")):
        if names:
            raise DataError(
                f"run {space.run_dir} is not finished or not whole: {examples(names)}{what}; "
                "run `fusionnetx submission` with its recipe and data first"
            )


def encoder_folders(space: Workspace, folds: int) -> list[Path]:
    """Where the encoders are."""
    return [encoder_path(space.run_dir, fold).parent for fold in range(folds)]
