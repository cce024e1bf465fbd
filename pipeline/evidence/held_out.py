"""A finished run's frozen models on the lesions that each fold held out, given other pictures or an emptier table.

Nothing is trained. Given everything as it was, the answers are the run's own out-of-fold answers.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.images.shards import Beside, Pixels
from data.predictions import Predictions, assemble
from data.progress import Progress
from features.encode import Encoder
from features.table import build
from pipeline.ablation.rows import stage_columns
from pipeline.columns import named, stacked, table_of
from pipeline.execute.side_by_side import image_model_resources
from pipeline.inputs import Inputs
from pipeline.plan import Plan
from pipeline.runtime import Runtime
from pipeline.stage_two import image_scores
from pipeline.step import Step
from pipeline.steps.booster import booster_of
from pipeline.steps.fold_model import WEIGHTS, fold_model_of, networks_at_once
from pipeline.steps.lesions import shared_training_lesions
from pipeline.steps.metadata import with_stored_metadata
from tabular.blend import blend
from tabular.crossfit import LoadedModels, load_models
from tabular.recipe import MemberRecipe

if TYPE_CHECKING:
    from image_models.lesions import Lesions

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

    @cached_property
    def stage_two(self) -> dict[int, tuple[Encoder, list[tuple[MemberRecipe, LoadedModels]]]]:
        """The encoder and the models of each fold, read once for all ways of asking them."""
        found = self.plan.stage_two
        return {
            fold: (
                found.encoder(fold),
                [
                    (member, load_models(member, step.folder))
                    for step in found.of_fold(fold)
                    for member in [booster_of(step).member]
                ],
            )
            for fold in range(found.folds)
        }

    def image_scores(
        self, changes: Sequence[Callable[[Pictures], Pictures]], table: pl.DataFrame, progress: Progress
    ) -> list[pl.DataFrame]:
        """Out-of-fold image columns for each way of changing the pictures, told what `table` says.

        Each network is loaded once and sees its fold's lesions changed in every way, a block at a time; as many
        networks side by side as this machine can have, each with the threads that it was trained with.
        """
        lesions, steps = shared_training_lesions(self.inputs, self.runtime), self.plan.fold_models
        models = [fold_model_of(step).model for step in steps]
        found: list[dict[str, list[Predictions]]] = [{} for _ in changes]
        with ThreadPoolExecutor(networks_at_once(models, self.inputs, self.runtime, training=False)) as pool:
            jobs = [pool.submit(self.said_of, step, lesions, changes, table) for step in steps]
            try:
                for place, (model, job) in enumerate(zip(models, jobs, strict=True), start=1):
                    for one, said in zip(found, job.result(), strict=True):
                        one.setdefault(model.name, []).append(said)
                    progress(place, len(jobs))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [self.frame_of(one) for one in found]

    def said_of(
        self, step: Step, lesions: "Lesions", changes: Sequence[Callable[[Pictures], Pictures]], table: pl.DataFrame
    ) -> list[Predictions]:
        """What one network says of the lesions that it did not see, for each way of changing the pictures."""
        import torch

        from image_models.predict import load_model, predict

        torch.set_num_threads(image_model_resources(self.inputs.run.recipe, self.runtime).cpus)
        train, folds, work = self.inputs.data.train, self.inputs.folds, fold_model_of(step)
        network = load_model(step.folder / WEIGHTS, work.model, len(train.task.classes))
        rows = work.held_out(folds)
        found = []
        for change in changes:
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
            columns = train.task.probability_columns
            found.append(Predictions(lesions.ids[rows], folds.fold[rows], np.concatenate(said), columns))
        return found

    def frame_of(self, found: dict[str, list[Predictions]]) -> pl.DataFrame:
        """Image columns as stage two takes them."""
        ids = self.inputs.data.train.ids
        columns: dict[str, Floats] = {}
        for name, parts in found.items():
            columns |= named(name, assemble(parts, ids, self.inputs.folds))
        return table_of(ids, columns)

    def own_image_scores(self) -> pl.DataFrame | None:
        """The run's own image columns; None without image models."""
        return image_scores(self.inputs, "oof.parquet")

    def blended(self, cohort: Cohort, scores: pl.DataFrame | None) -> Floats:
        """The blend of every training lesion, each by the models that did not see it."""
        table = build(cohort, self.inputs.run.recipe.features, scores)
        folds = self.inputs.folds
        result: Floats | None = None
        for fold, (encoder, members) in self.stage_two.items():
            rows = folds.validation_rows(fold)
            matrix = encoder.transform(table, rows)
            sums: dict[str, Floats] = {}
            for member, loaded in members:
                said = loaded.predict(matrix, np.arange(len(rows)), threads=self.runtime.threads)
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
