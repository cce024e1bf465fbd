"""Does a prediction depend on its own patient's rows alone?

A submission may be asked for one patient at a time, and a score that moves with the other patients of a table cannot
be given in a clinic. The test table is therefore worked on as a whole and patient by patient, and both must agree to
the bit. Features that say of themselves that they look at other patients (`Feature.transductive`) are reported, not
condemned; a feature that does so without saying is a failure.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from data.cohort import Cohort
from features.table import FeatureTable, build
from pipeline.audit.deal import Ints
from pipeline.audit.variants import rows_of
from pipeline.inputs import Inputs
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.stage_two import image_scores

PATIENTS = 5
"""Patients that are predicted by themselves."""


@dataclass(frozen=True)
class OwnPatient:
    """What was found."""

    patients: int
    declared: tuple[str, ...]
    """Features that look at other patients and say so."""
    families: tuple[str, ...]
    """Their families."""
    undeclared: tuple[str, ...]
    """Features that look at other patients and do not say so."""
    predictions: tuple[str, ...] = ()
    """Members whose probabilities change with the other patients."""


def some_patients(cohort: Cohort, seed: int) -> list[Ints]:
    """Rows of a few patients, each by itself."""
    patients = np.unique(cohort.groups)
    drawn = np.random.default_rng(seed).permutation(patients)[:PATIENTS]
    return [np.flatnonzero(cohort.groups == patient) for patient in drawn]


def features_by_patient(recipe: Recipe, cohort: Cohort) -> OwnPatient:
    """Compare the recipe's features of whole table and single patients, on image scores drawn at random."""
    scores = random_scores(recipe, cohort)
    whole = build(cohort, recipe.features, scores)
    moved: set[str] = set()
    parts = some_patients(cohort, recipe.seed)
    for rows in parts:
        alone = build(rows_of(cohort, rows), recipe.features, None if scores is None else scores[rows])
        moved |= {name for name in whole.names if not same_column(whole, alone, name, rows)}
    declared = [feature for feature in whole.features if feature.transductive]
    return OwnPatient(
        patients=len(parts),
        declared=tuple(feature.name for feature in declared),
        families=tuple(dict.fromkeys(feature.family for feature in declared)),
        undeclared=tuple(sorted(moved - {feature.name for feature in declared})),
    )


def same_column(whole: FeatureTable, alone: FeatureTable, name: str, rows: Ints) -> bool:
    """Equal to the bit, gaps included."""
    return name in alone.frame.columns and whole.frame[name][rows].equals(alone.frame[name])


def random_scores(recipe: Recipe, cohort: Cohort) -> pl.DataFrame | None:
    """A probability per lesion and image model; any will do, as the features only compare them."""
    models, columns = recipe.image_models, cohort.task.probability_columns
    if not models:
        return None
    rng = np.random.default_rng(recipe.seed)
    drawn: dict[str, object] = {"lesion_id": cohort.ids.tolist()}
    for model in models:
        names = [model.name] if len(columns) == 1 else [f"{model.name}:{name}" for name in columns]
        drawn |= {name: rng.random(len(cohort.ids)) for name in names}
    return pl.DataFrame(drawn)


def predictions_by_patient(inputs: Inputs, runtime: Runtime, plan: Plan, cohort: Cohort) -> tuple[str, ...]:
    """Members of a finished run whose probabilities of a patient change with the rest of the table."""
    recipe, stage_two = inputs.run.recipe, plan.stage_two
    asked = (inputs.run.folder / "oof" / "test.parquet").is_file()
    if recipe.image_models and not asked:
        return ()
    scores = image_scores(inputs, "test.parquet")
    with runtime.display.task("the audit") as progress:
        whole = stage_two.predict(build(cohort, recipe.features, scores), runtime.threads, progress)
        moved: set[str] = set()
        for rows in some_patients(cohort, recipe.seed):
            table = build(rows_of(cohort, rows), recipe.features, None if scores is None else scores[rows])
            alone = stage_two.predict(table, runtime.threads, progress)
            moved |= {name for name in whole if not np.array_equal(whole[name][rows], alone[name])}
    return tuple(sorted(moved))
