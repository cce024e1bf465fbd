"""Predict new patients with a finished run: its fold models, encoders and boosters; no training data needed."""

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.files import atomic, fingerprint
from data.folds import examples
from data.images import ImageSource
from data.isic2024 import read_test
from data.pack import build_pack
from data.predictions import Predictions, mean_of
from pipeline.predicting import fold_count, predict_members
from pipeline.run import Step
from pipeline.stages.features import features_of
from pipeline.stages.fold_models import FoldModel, named_columns, unlabelled_lesions
from pipeline.stages.tabular import MemberFold
from pipeline.stages.tuning import tuned_members
from pipeline.workspace import Workspace


def run_predict(space: Workspace, metadata_path: Path, images_path: Path, out_path: Path) -> None:
    """Write lesion id and probability of every row of the table."""
    cohort, source, notes = read_test(metadata_path, images_path)
    for note in notes:
        space.display.warn(note)
    folds = fold_count(space)
    refuse_unfinished(space, folds)
    scores = image_columns(space, cohort, source, folds) if space.recipe.image_models else None
    table = features_of(space, cohort, scores, f"{len(cohort.ids):,} lesions")
    with space.display.task("stage two") as progress:
        probability = predict_members(space, table, progress)["blend"]
    columns = cohort.task.probability_columns
    frame = pl.DataFrame({cohort.task.lesion: cohort.ids.tolist()}).with_columns(
        [pl.Series(name, probability.reshape(len(cohort.ids), len(columns))[:, i]) for i, name in enumerate(columns)]
    )
    with atomic(out_path) as temporary:
        frame.write_csv(temporary)
    space.display.say(f"wrote {len(cohort.ids):,} probabilities to {out_path}")


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
    unfinished, stale = [], []
    for job in jobs:
        report = Step("", job.folder, {}).report()
        name = str(job.folder.relative_to(space.run_dir))
        if report is None:
            unfinished.append(name)
        elif fingerprint(report["settings"]) != fingerprint(job.settings):
            stale.append(name)
    if not (space.run_dir / "tabular" / "report.json").is_file():
        unfinished.append("tabular")
    for names, what in ((unfinished, "has no report.json"), (stale, "was made with another recipe")):
        if names:
            raise DataError(
                f"run {space.run_dir} is not finished: {examples(names)} {what}; "
                "run `fusionnetx submission` with its recipe and data first"
            )


def image_columns(space: Workspace, cohort: Cohort, source: ImageSource, folds: int) -> pl.DataFrame:
    """Mean over the fold models of every image model; null for a lesion without a usable image."""
    from image_models.predict import load_model, predict

    columns: dict[str, npt.NDArray[np.float64]] = {}
    with tempfile.TemporaryDirectory(prefix="fusionnetx-") as scratch:
        with space.display.task("decoding images") as progress:
            pack = build_pack(
                source, cohort.ids, Path(scratch) / "pack", size=space.recipe.data.image_size, max_missing_share=1.0,
                workers=space.recipe.data.workers, progress=progress,
            )  # fmt: skip
        if not pack.present.any():
            raise DataError(f"none of the {len(cohort.ids)} lesions has a usable image in {source!r}")
        if not pack.present.all():
            without = cohort.ids[~pack.present]
            space.display.warn(f"{len(without)} lesions have no usable image ({examples(without)}): metadata alone")
        lesions = unlabelled_lesions(cohort.ids, pack.images, pack.present, len(cohort.task.classes))
        everyone = np.arange(len(cohort.ids))
        for model in space.recipe.image_models:
            parts = []
            for fold in range(folds):
                job = FoldModel(space, model, (fold,))
                network = load_model(job.weights_path, model, lesions.classes)
                with space.display.task(f"{model.name}, fold {fold}") as progress:
                    probability = predict(network, model, lesions, everyone, progress=progress)
                parts.append(
                    Predictions(cohort.ids, np.full(len(everyone), -1), probability, cohort.task.probability_columns)
                )
            columns |= named_columns(model.name, mean_of(parts))
    frame = pl.DataFrame({"lesion_id": cohort.ids.tolist(), **columns})
    return frame.with_columns(pl.col(list(columns)).fill_nan(None))
