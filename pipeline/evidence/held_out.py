"""A finished run's frozen models on the lesions that each fold held out, given other pictures or an emptier table.

Nothing is trained. Given everything as it was, the answers are the run's own out-of-fold answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.images.shards import Beside, Pixels
from data.predictions import Predictions, assemble
from data.progress import Progress
from features.table import build
from pipeline.ablation.rows import stage_columns
from pipeline.columns import named, stacked
from pipeline.inputs import Inputs
from pipeline.plan import Plan
from pipeline.runtime import Runtime
from pipeline.stage_two import image_scores
from pipeline.steps.booster import booster_of
from pipeline.steps.fold_model import WEIGHTS, fold_model_of
from pipeline.steps.lesions import shared_training_lesions
from pipeline.steps.metadata import with_stored_metadata
from tabular.blend import blend
from tabular.crossfit import predict_member

Floats = npt.NDArray[np.float64]
Pictures = npt.NDArray[np.uint8]
BLOCK = 2048
"""Pictures that are changed at a time."""


@dataclass(frozen=True)
class HeldOut:
    """The models of a run and the lesions that each did not see."""

    inputs: Inputs
    runtime: Runtime
    plan: Plan

    @cached_property
    def blends(self) -> dict[int, Callable[[dict[str, Floats]], Floats]]:
        """How each fold's lesions are blended: as it was learned on the other folds, from the lesions as they were."""
        train, recipe = self.inputs.data.train, self.inputs.run.recipe.tabular
        read = stage_columns(self.inputs, "tabular").train
        columns = {member.name: stacked(read, member.name) for member in recipe.members}
        states = blend(columns, recipe.blend, target=train.target, folds=self.inputs.folds.fold).by_fold
        return {fold: state.apply for fold, state in states.items()}

    def image_scores(
        self, changes: Sequence[Callable[[Pictures], Pictures]], table: pl.DataFrame, progress: Progress
    ) -> list[pl.DataFrame]:
        """Out-of-fold image columns for each way of changing the pictures, told what `table` says.

        Each network is loaded once and sees its fold's lesions changed in every way, a block at a time.
        """
        from image_models.predict import load_model, predict

        train, folds = self.inputs.data.train, self.inputs.folds
        lesions = shared_training_lesions(self.inputs, self.runtime)
        found: list[dict[str, list[Predictions]]] = [{} for _ in changes]
        for place, step in enumerate(self.plan.fold_models):
            work = fold_model_of(step)
            network = load_model(step.folder / WEIGHTS, work.model, len(train.task.classes))
            rows = work.held_out(folds)
            for number, change in enumerate(changes):
                said = []
                for start in range(0, len(rows), BLOCK):
                    some = rows[start : start + BLOCK]
                    shown = replace(
                        lesions,
                        **{name: getattr(lesions, name)[some] for name in ("target", "training_label", "group", "ids")},
                        present=lesions.present[some],
                        images=changed(lesions.images, some, change),
                        images_fingerprint="",
                    )
                    shown = with_stored_metadata(work.model, step.folder, table[some], shown)
                    said.append(predict(network, work.model, shown, np.arange(len(some)), cache_dir=None))
                found[number].setdefault(work.model.name, []).append(
                    Predictions(
                        lesions.ids[rows], folds.fold[rows], np.concatenate(said), train.task.probability_columns
                    )
                )
            progress(place + 1, len(self.plan.fold_models))
        return [self.frame_of(one) for one in found]

    def frame_of(self, found: dict[str, list[Predictions]]) -> pl.DataFrame:
        """Image columns as stage two takes them."""
        ids = self.inputs.data.train.ids
        columns: dict[str, Floats] = {}
        for name, parts in found.items():
            columns |= named(name, assemble(parts, ids, self.inputs.folds))
        return pl.DataFrame({"lesion_id": ids.tolist(), **columns}).with_columns(pl.col(list(columns)).fill_nan(None))

    def own_image_scores(self) -> pl.DataFrame | None:
        """The run's own image columns; None without image models."""
        return image_scores(self.inputs, "oof.parquet")

    def blended(self, cohort: Cohort, scores: pl.DataFrame | None) -> Floats:
        """The blend of every training lesion, each by the models that did not see it."""
        table = build(cohort, self.inputs.run.recipe.features, scores)
        folds, stage_two = self.inputs.folds, self.plan.stage_two
        result: Floats | None = None
        for fold in range(folds.count):
            rows = folds.validation_rows(fold)
            matrix = stage_two.encoder(fold).transform(table, rows)
            sums: dict[str, Floats] = {}
            for step in stage_two.of_fold(fold):
                member = booster_of(step).member
                said = predict_member(member, step.folder, matrix, np.arange(len(rows)), threads=self.runtime.threads)
                sums[member.name] = sums.get(member.name, 0.0) + said / len(member.seeds)
            of_fold = self.blends[fold](sums)
            result = np.full((len(cohort.ids), *of_fold.shape[1:]), np.nan) if result is None else result
            result[rows] = of_fold
        assert result is not None
        return result


def emptied(cohort: Cohort, columns: Sequence[str]) -> Cohort:
    """The cohort with nothing known in some columns."""
    table = cohort.table.with_columns(pl.lit(None, dtype=cohort.table.schema[name]).alias(name) for name in columns)
    return replace(cohort, table=table)


def changed(images: Pixels, rows: npt.NDArray[np.int64], change: Callable[[Pictures], Pictures]) -> Pixels:
    """The images of these rows, changed; of several pictures of a lesion, each."""
    if isinstance(images, Beside):
        return Beside({name: change(np.asarray(one[rows])) for name, one in images.pictures.items()})
    return change(np.asarray(images[rows]))
