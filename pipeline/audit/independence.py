"""The core of the audit: change a fold and see that nothing made for that fold changes, to the bit.

Three runs of the strict recipe on one small cohort share their folds: one as it is, one in which the answers of the
scored fold are turned, one in which everything about the lesions of that fold is different (answers, measurements,
pixels). Whatever predicts the fold must be the same in all three; what is said of its lesions must not depend on their
answers. There is no interval here and no luck: a difference is a leak, and a leak that moves a single bit is found.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.cohort import DataFolder
from data.images.pack import ImagePack
from data.matrix import Matrix
from data.progress import Progress, silent
from features.table import FeatureTable
from pipeline.audit.compare import fitted_differently, said_differently
from pipeline.audit.deal import Ints
from pipeline.audit.perturb import other_answers, other_measurements, other_pixels
from pipeline.audit.scratch import Finished, finished, scratch, take_over_image_models
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of
from pipeline.steps import blend as blend_module
from pipeline.steps import tuning
from pipeline.steps.booster import member_columns
from tabular.recipe import BlendRecipe
from tabular.tuning.binned_folds import FoldData

SCORED_FOLD = 1


@dataclass(frozen=True)
class Trio:
    """Three runs that differ in one fold, each made when first asked for."""

    inputs: Inputs
    """Of the audited run."""
    runtime: Runtime
    recipe: Recipe
    data: DataFolder
    folder: Path
    stage_one: Path | None = None
    """Folder of a trio whose finished image models may be taken over: a leak planted in stage two leaves them alone."""

    @cached_property
    def as_it_is(self) -> Finished:
        """The cohort as it is; its folds are the folds of all three."""
        return self._made("as_it_is", self.recipe, self.data)

    @cached_property
    def answers_turned(self) -> Finished:
        """The scored fold has other answers."""
        train = other_answers(self.data.train, self.scored_rows, self.recipe.seed)
        return self._made("answers_turned", self.with_these_folds, dataclasses.replace(self.data, train=train))

    @cached_property
    def all_changed(self) -> Finished:
        """The scored fold has other answers, measurements and pixels."""
        rows = self.scored_rows
        train = other_measurements(other_answers(self.data.train, rows, self.recipe.seed), rows)
        pack = other_pixels(self.as_it_is.inputs.train_pack, rows) if self.recipe.sees_images else None
        return self._made("all_changed", self.with_these_folds, dataclasses.replace(self.data, train=train), pack)

    @property
    def scored_rows(self) -> Ints:
        """Lesions of the scored fold."""
        return np.flatnonzero(self.as_it_is.inputs.folds.fold == SCORED_FOLD)

    @property
    def with_these_folds(self) -> Recipe:
        """The recipe, told to obey the first run's folds."""
        path = str(self.as_it_is.inputs.run.folder / "folds.parquet")
        folds = self.recipe.folds.model_copy(update={"file": path, "count": None})
        return self.recipe.model_copy(update={"folds": folds})

    def _made(self, name: str, recipe: Recipe, data: DataFolder, pack: ImagePack | None = None) -> Finished:
        """Both stages in a folder of their own."""
        inputs = scratch(self.inputs, self.runtime, self.folder / name, recipe, data, pack)
        if self.stage_one is not None:
            take_over_image_models(self.stage_one / name, inputs.run)
        return finished(inputs)


def independence(trio: Trio, progress: Progress = silent) -> list[str]:
    """Everything that knows of the scored fold and must not; empty when nothing does."""
    found: list[str] = []
    checks = (patients_in_two_folds, answer_findings, lesion_findings, search_findings, blend_findings)
    for done, check in enumerate(checks):
        progress(done, len(checks))
        found += check(trio)
    progress(len(checks), len(checks))
    return found


def patients_in_two_folds(trio: Trio) -> list[str]:
    """Patients whose lesions are in several folds."""
    inputs = trio.as_it_is.inputs
    _, patient = np.unique(inputs.data.train.groups, return_inverse=True)
    pairs = np.unique(np.column_stack([patient, inputs.folds.fold]), axis=0)
    torn = int(np.sum(np.bincount(pairs[:, 0]) > 1))
    return [f"folds: {torn} {inputs.data.train.task.words['groups']} are in more than one"] if torn else []


def answer_findings(trio: Trio) -> list[str]:
    """What is fitted for, or said of, the scored fold depends on its own answers."""
    one, other = trio.as_it_is, trio.answers_turned
    changed = [*said_differently(one, other, SCORED_FOLD), *fitted_differently(one, other, SCORED_FOLD)]
    return [f"answers turned: {what} changed" for what in changed]


def lesion_findings(trio: Trio) -> list[str]:
    """What is fitted for the scored fold depends on its lesions."""
    changed = fitted_differently(trio.as_it_is, trio.all_changed, SCORED_FOLD)
    return [f"lesions changed: {what} changed" for what in changed]


def search_findings(trio: Trio) -> list[str]:
    """What a trial trains on knows the answers it is scored by, or the winner is scored on the folds it was chosen on.

    On metadata alone, and of the search that all folds share: that no search of a fold sees the fold is seen in what
    it found (`answer_findings`).
    """
    one, other = trio.as_it_is.inputs, trio.answers_turned.inputs
    if len(one.data.train.task.classes) > 2:
        return []
    left, right = searched(one), searched(other)
    chosen, turned = left[SCORED_FOLD], right[SCORED_FOLD]
    found = []
    same = {
        "labels a trial trains on": np.array_equal(chosen.train_target, turned.train_target),
        "patients a trial trains on": np.array_equal(chosen.train_groups, turned.train_groups),
        "features a trial trains on": same_matrix(chosen.train, turned.train),
        "features a trial is scored on": same_matrix(chosen.held_out, turned.held_out),
    }
    found += [f"search: {what} know the answers that score it" for what, equal in same.items() if not equal]
    again = tuning.other_fold_data(one, untold_features(one))
    if any(same_matrix(other_fold.held_out, fold.held_out) for other_fold in again for fold in left):
        found.append("search: its winner is scored again on a fold that chose it")
    return found


def untold_features(inputs: Inputs) -> FeatureTable:
    """The features of the training lesions without image columns."""
    return features_of(inputs.run.recipe.features, inputs.runtime.display, inputs.data.train, None, "the audit")


def searched(inputs: Inputs) -> list[FoldData]:
    """What a search of the run trains on and is scored by."""
    return list(tuning.searched_folds(inputs, untold_features(inputs), None))


def same_matrix(one: Matrix, other: Matrix) -> bool:
    """Equal columns and equal values, NaN included."""
    return one.names == other.names and np.array_equal(one.values, other.values, equal_nan=True)


def blend_findings(trio: Trio) -> list[str]:
    """Blends that learn know the answers of the fold they blend; tried on one and the same set of columns."""
    run, train = trio.as_it_is, trio.data.train
    if len(train.task.classes) > 2:
        return []
    columns = member_columns(run.plan.of("booster"), run.inputs)
    fold = run.inputs.folds.fold
    own = fold == SCORED_FOLD
    blend = vars(blend_module)["blend"]  # as its step finds it
    found = []
    for recipe in (BlendRecipe(method="stacker"), BlendRecipe(method="weighted"), BlendRecipe(method="rank_mean")):
        left, right = (
            blend(columns, recipe, target=one.target, folds=fold, groups=train.groups).out_of_fold
            for one in (train, trio.answers_turned.inputs.data.train)
        )
        if not np.array_equal(left[own], right[own]):
            found.append(f"answers turned: blend ({recipe.method}) of fold {SCORED_FOLD} changed")
    return found
