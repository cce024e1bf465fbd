"""Known leaks, each planted by replacing one function of the running pipeline; the audit must find every one.

A leak is a context manager: inside it the pipeline leaks, after it the pipeline is itself again. Leaks that sit in the
data instead of the code are in `mutations.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl

from data import folds as folds_module
from data.cohort import Cohort
from data.folds import Folds
from data.predictions import Predictions
from features import arrange, encode
from features import table as feature_table
from features.families.family import Family, Settings
from features.source import Feature, Made, Source
from pipeline import stage_two
from pipeline.steps import blend as blend_step
from pipeline.steps import fold_model, oof_table, tuning
from pipeline.steps import folds as folds_step
from tabular import blend as blending
from tabular.tuning.binned_folds import FoldData


@dataclass(frozen=True)
class Leak:
    """One mistake."""

    name: str
    plant: Callable[[], AbstractContextManager[object]]
    stage: Literal["images", "tables"]
    """The first stage it changes: earlier results of the pipeline without it may be taken over."""


@contextmanager
def rewired(holder: Any, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """Put `change(old)` in the place of a module's, class's or dictionary's entry `name`, and the old one back."""
    is_mapping = isinstance(holder, dict)
    old = holder[name] if is_mapping else vars(holder)[name]
    put = holder.__setitem__ if is_mapping else partial(setattr, holder)
    put(name, change(old))
    try:
        yield
    finally:
        put(name, old)


def resampling_before_the_split() -> AbstractContextManager[None]:
    """Positives are multiplied first and split afterwards: copies of held-out positives are trained on."""

    def change(train_rows: Any) -> Any:
        def with_copies(self: Folds, k: int) -> Any:
            return np.concatenate([train_rows(self, k), np.repeat(np.flatnonzero(self.target > 0), 2)])

        return with_copies

    return rewired(Folds, "train_rows", change)


def best_epoch_on_the_scored_fold() -> AbstractContextManager[None]:
    """The epoch to keep is chosen on the fold that is then scored."""
    from image_models.training import train

    def change(plan_training: Any) -> Any:
        def plan_for_the_scored_fold(recipe: Any, lesions: Any, train_rows: Any, *rest: Any, **options: Any) -> Any:
            plan = plan_training(recipe, lesions, train_rows, *rest, **options)
            return replace(plan, inner_rows=np.setdiff1d(np.flatnonzero(lesions.present), train_rows))

        return plan_for_the_scored_fold

    return rewired(train, "plan_training", change)


def in_sample_image_columns() -> AbstractContextManager[None]:
    """Image models are trained on all lesions, so that their columns are in-sample."""
    usual = lambda self, folds: np.arange(len(folds.fold))  # noqa: E731
    return rewired(fold_model.FoldModel, "train_rows", lambda _: usual)


def columns_of_another_folds_model() -> AbstractContextManager[None]:
    """The table of image columns takes each fold's lesions from a model that was trained on them."""

    def change(predictions_of: Any) -> Any:
        def of_another_fold(step: Any, inputs: Any) -> Predictions:
            found: Predictions = predictions_of(step, inputs)
            return replace(found, fold=(found.fold + 1) % inputs.folds.count)

        return of_another_fold

    return rewired(oof_table, "predictions_of", change)


def nested_columns_that_are_not() -> AbstractContextManager[None]:
    """Stage two is told that its image columns never saw the scored fold, and gets those that did."""
    usual = lambda inputs, images, outer: stage_two.image_scores(inputs, "oof.parquet")  # noqa: E731
    return rewired(stage_two, "nested_scores", lambda _: usual)


def fitted_on_all_rows(fit: Any) -> Any:
    """The same fit, of the whole table whatever rows it is given."""
    return lambda frame, rows, *rest: fit(frame, pl.Series(range(len(frame))), *rest)


def imputer_on_all_rows() -> AbstractContextManager[None]:
    """Medians of all lesions fill the gaps of the training rows."""
    return rewired(encode, "fit_medians", fitted_on_all_rows)


def scaler_on_all_rows() -> AbstractContextManager[None]:
    """Numbers are scaled by means and spreads of all lesions."""
    return rewired(encode, "fit_scaling", fitted_on_all_rows)


def target_encoder_on_all_rows() -> AbstractContextManager[None]:
    """The shares of malignant lesions by category count the lesions that are to be scored."""

    def change(fit: Any) -> Any:
        def on_all_rows(cls: Any, made: Any, rows: Any, *rest: Any, **options: Any) -> Any:
            of_all = fit.__func__(cls, made, np.arange(len(made.frame)), *rest, **options)
            own = fit.__func__(cls, made, rows, *rest, **options)
            return replace(own, target_shares=of_all.target_shares, categories=of_all.categories)

        return classmethod(on_all_rows)

    return rewired(encode.Encoder, "fit", change)


def torn_folds(cohort: Cohort, recipe: Any) -> Folds:
    """Folds by lesion: most patients are in several."""
    fold = np.random.default_rng(recipe.seed).permutation(len(cohort.ids)) % (recipe.count or 3)
    frame = pl.DataFrame({"lesion_id": cohort.ids.tolist(), "group": cohort.groups.tolist(), "fold": fold})
    return Folds(frame, cohort.target, "file")


def a_patient_in_two_folds() -> AbstractContextManager[None]:
    """Folds are made by lesion instead of by patient."""
    return rewired(folds_step, "make_folds", lambda _: torn_folds)


@contextmanager
def a_patient_in_two_folds_unrefused() -> Iterator[None]:
    """Folds are made by lesion, and the checks that refuse them are gone."""
    with ExitStack() as stack:
        stack.enter_context(rewired(folds_step, "make_folds", lambda _: torn_folds))
        stack.enter_context(rewired(folds_module, "fold_problems", lambda _: lambda *_: []))
        stack.enter_context(rewired(blending, "_refuse_shared_groups", lambda _: lambda *_: None))
        yield


def a_column_known_after_the_diagnosis() -> AbstractContextManager[None]:
    """A number that exists only where the diagnosis is known becomes a feature."""

    def change(used_columns: Any) -> Any:
        def with_another(cohort: Cohort, recipe: Any) -> list[str]:
            forbidden = [name for name in cohort.table.columns if name in cohort.forbidden - {cohort.task.target}]
            numbers = [name for name in forbidden if cohort.table.schema[name].is_numeric()]
            return [*used_columns(cohort, recipe), *(numbers or forbidden)[-1:]]

        return with_another

    return rewired(arrange, "used_columns", change)


def a_rank_among_all_patients() -> AbstractContextManager[None]:
    """A feature compares a lesion with every lesion of the table and does not say so."""

    def change(known: Mapping[str, Family]) -> Mapping[str, Family]:
        published = known["published"]

        def make(source: Source, settings: Settings) -> list[Made]:
            name = source.numbers[0]
            feature = Feature(f"{name}_of_table", "published", f"rank of {name} in the table", "share")
            return [*published.make(source, settings), Made(feature, pl.col(name).rank("average") / pl.len())]

        return {**known, "published": replace(published, make=make)}

    return rewired(feature_table, "FAMILIES", change)


def blend_weights_on_the_scored_rows() -> AbstractContextManager[None]:
    """The blend learns its weights on all lesions and is scored on the same."""

    def change(blend: Any) -> Any:
        def learned_on_everything(columns: Mapping[str, Any], recipe: Any, **given: Any) -> blending.Blended:
            found: blending.Blended = blend(columns, recipe, **given)
            return replace(found, out_of_fold=found.state.apply(columns))

        return learned_on_everything

    return rewired(blend_step, "blend", change)


def search_trained_on_what_scores_it() -> AbstractContextManager[None]:
    """Each trial trains on the lesions that score it as well."""

    def change(fold_data: Any) -> Any:
        def with_the_scored(inputs: Any, table: Any, folds: Folds, k: int, outer: int | None = None) -> FoldData:
            groups = np.unique(inputs.data.train.groups, return_inverse=True)[1]
            fold = fold_data(inputs, table, folds, k, outer)
            return FoldData(
                replace(fold.train, values=np.concatenate([fold.train.values, fold.held_out.values])),
                np.concatenate([fold.train_target, fold.held_out_target]),
                np.concatenate([fold.train_groups, groups[folds.validation_rows(k)]]),
                fold.held_out,
                fold.held_out_target,
            )

        return with_the_scored

    return rewired(tuning, "fold_data", change)


def search_confirmed_where_it_was_made() -> AbstractContextManager[None]:
    """The winner of a search is scored again on the very folds it won on."""
    same = lambda inputs, table: tuning.searched_folds(inputs, table, None)  # noqa: E731
    return rewired(tuning, "other_fold_data", lambda _: same)


def search_that_sees_the_fold() -> AbstractContextManager[None]:
    """The search for a fold runs on the folds of the run, the fold itself among them."""
    usual = tuning.searched_folds
    return rewired(tuning, "searched_folds", lambda _: lambda inputs, table, outer: usual(inputs, table, None))


def search_scored_by_the_fold_alone() -> AbstractContextManager[None]:
    """The parameters for a fold are those that do best on it."""

    def change(searched_folds: Any) -> Any:
        def the_fold(inputs: Any, table: Any, outer: int | None) -> Iterator[FoldData]:
            if outer is None:
                yield from searched_folds(inputs, table, None)
            else:
                yield tuning.fold_data(inputs, table, inputs.folds, outer)

        return the_fold

    return rewired(tuning, "searched_folds", change)


LEAKS: Sequence[Leak] = (
    Leak("resampling before the split", resampling_before_the_split, "tables"),
    Leak("best epoch chosen on the scored fold", best_epoch_on_the_scored_fold, "images"),
    Leak("image columns in-sample: networks see every fold", in_sample_image_columns, "images"),
    Leak("image columns of another fold's network", columns_of_another_folds_model, "tables"),
    Leak("nested image columns that are not nested", nested_columns_that_are_not, "tables"),
    Leak("imputer fitted on all rows", imputer_on_all_rows, "tables"),
    Leak("scaler fitted on all rows", scaler_on_all_rows, "tables"),
    Leak("target encoder fitted on all rows", target_encoder_on_all_rows, "tables"),
    Leak("a patient in two folds", a_patient_in_two_folds, "images"),
    Leak("a patient in two folds, nothing refusing it", a_patient_in_two_folds_unrefused, "images"),
    Leak("a train-only column as a feature", a_column_known_after_the_diagnosis, "tables"),
    Leak("a rank among all patients of the table", a_rank_among_all_patients, "tables"),
    Leak("blend weights learned on the scored rows", blend_weights_on_the_scored_rows, "tables"),
    Leak("a search that trains on what scores it", search_trained_on_what_scores_it, "tables"),
    Leak("a search confirmed on the folds it won on", search_confirmed_where_it_was_made, "tables"),
    Leak("a search that sees the fold it is for", search_that_sees_the_fold, "tables"),
    Leak("parameters that do best on the scored fold", search_scored_by_the_fold_alone, "tables"),
)
