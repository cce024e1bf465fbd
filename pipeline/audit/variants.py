"""Small forms of a recipe and of its data for the audit: fewer lesions, fewer epochs, fewer trees, other labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data.cohort import Cohort, DataFolder
from data.files import fingerprint
from image_models.recipe import ImageModelRecipe
from pipeline.audit.deal import Ints
from pipeline.recipe import Recipe
from tabular.learners.search_space import SearchSpace
from tabular.recipe import BlendRecipe, MemberRecipe, TabularRecipe, TuneRecipe

EPOCHS, ITERATIONS, TRIALS, STRICT_TRIALS = 3, 25, 3, 2
"""At most this many epochs of an image model, trees of a member and trials of a search."""
INNER_SHARE = 0.3
"""A third of a small cohort is little to take an inner split of: a larger one holds both classes."""
UNEVEN = 9.0
"""Folds of dealt labels may be as uneven as whole patients force them to be."""


def fast_image_model(model: ImageModelRecipe) -> ImageModelRecipe:
    """The same network and training set, shown for a few epochs."""
    return dataclasses.replace(
        model, epochs=min(model.epochs, EPOCHS), second_fit_epochs=min(model.second_fit_epochs, 1)
    )


def fast_member(member: MemberRecipe) -> MemberRecipe:
    """The same booster with few trees."""
    few = {"iterations": min(member.iterations, ITERATIONS), "seeds": member.seeds[:1], "by_fold": ()}
    return member.model_copy(update=few)


def small_search(recipe: Recipe, members: Sequence[MemberRecipe], trials: int) -> TuneRecipe:
    """The recipe's search with few trials of some members; of two folds, a shared one alone is possible."""
    tabular = recipe.tabular
    return tabular.tune.model_copy(
        update={
            "trials": trials,
            "members": tuple(member.name for member in members),
            "jobs": 1,
            "inner_folds": 2,
            "scope": "shared" if recipe.folds.count == 2 else tabular.tune.scope,
            "spaces": {member.name: small_space(tabular, member) for member in members},
            "reestimate_seeds": tabular.tune.reestimate_seeds[:1],
        }
    )


def null_recipe(recipe: Recipe, *, binary: bool = True) -> Recipe:
    """Every stage on, small: image models, search and re-estimate, every member, a blend that learns its weights."""
    members = tuple(fast_member(member) for member in recipe.tabular.members)
    changes: dict[str, object] = {"members": members}
    if binary:
        blend = recipe.tabular.blend
        learned = blend if blend.method in ("stacker", "weighted") else BlendRecipe(method="stacker")
        changes |= {"blend": learned, "tune": small_search(recipe, members, TRIALS)}
    return recipe.model_copy(
        update={
            "folds": recipe.folds.model_copy(update={"file": None, "by": None, "max_positive_imbalance": UNEVEN}),
            "image_models": tuple(fast_image_model(model) for model in recipe.image_models),
            "tabular": recipe.tabular.model_copy(update=changes),
        }
    )


def small_space(tabular: TabularRecipe, member: MemberRecipe) -> dict[str, SearchSpace]:
    """The member's search space without the number of trees, which would make the search slow again."""
    space = tabular.tune.search_space_of(member)
    return {name: values for name, values in space.items() if name != "iterations"} or space


def strict_recipe(
    recipe: Recipe, *, without: tuple[str, ...] = (), one_of_each: bool = False, binary: bool = True
) -> Recipe:
    """Everything that can be fitted switched on, every known path of labels switched off.

    On: inner splits (best epoch, early stopping), imputation, scaling, target encoding, a search inside each fold's
    training patients (of one member, with image columns where there are some). Off: image columns of models that saw
    the scored fold (`tabular.nested`), learned blends (tried by themselves), and the families named in `without`.
    `one_of_each`: the first image model, the first member with image columns and the first without.
    """
    models = [
        dataclasses.replace(fast_image_model(model), select="best", inner_share=INNER_SHARE)
        for model in recipe.image_models
    ]
    members = [
        fast_member(m).model_copy(
            update={"early_stopping": 10 if m.learner.stops_early else 0, "inner_share": INNER_SHARE}
        )
        for m in recipe.tabular.members
    ]
    if one_of_each:
        models = models[:1]
        kinds = {member.image_columns: member for member in reversed(members)}
        members = [kinds[kind] for kind in sorted(kinds)]
    searched = sorted(members, key=lambda member: not member.image_columns)[:1]
    tune = small_search(recipe, searched, STRICT_TRIALS if binary else 0)
    return recipe.model_copy(
        update={
            "folds": recipe.folds.model_copy(
                update={"file": None, "by": None, "count": 3, "max_positive_imbalance": UNEVEN}
            ),
            "image_models": tuple(models),
            "features": recipe.features.model_copy(
                update={
                    "target_encoding": True,
                    "scale": "standard",
                    "impute": "median",
                    "without": (*recipe.features.without, *without),
                }
            ),
            "tabular": recipe.tabular.model_copy(
                update={
                    "members": tuple(members),
                    "nested": bool(models),
                    "blend": BlendRecipe(method="mean"),
                    "tune": tune.model_copy(update={"scope": "fold"}),
                }
            ),
        }
    )


def thinned(data: DataFolder, lesions: int, seed: int) -> DataFolder:
    """At most `lesions` training lesions, positives first and benign ones of all patients, and half as many to test."""
    train, rng = data.train, np.random.default_rng(seed)
    if len(train.ids) > lesions:
        positive, others = np.flatnonzero(train.target > 0), np.flatnonzero(train.target == 0)
        if len(positive) > lesions // 2:
            positive = rng.choice(positive, lesions // 2, replace=False)
        benign = rng.choice(others, min(len(others), lesions - len(positive)), replace=False)
        train = rows_of(train, np.sort(np.concatenate([positive, benign])))
    test = data.test
    if test is not None and len(test.ids) > lesions // 2:
        test = rows_of(test, whole_patients(test, lesions // 2, rng))
    return dataclasses.replace(data, train=train, test=test)


def whole_patients(cohort: Cohort, lesions: int, rng: np.random.Generator) -> Ints:
    """Rows of patients drawn until there are about `lesions`; at least one patient."""
    codes = np.unique(cohort.groups, return_inverse=True)[1]
    drawn = rng.permutation(int(codes.max()) + 1)
    kept = drawn[: max(1, int(np.searchsorted(np.cumsum(np.bincount(codes)[drawn]), lesions, side="right")))]
    return np.flatnonzero(np.isin(codes, kept))


def without_test(data: DataFolder) -> DataFolder:
    """The training part alone."""
    return dataclasses.replace(data, test=None, test_images=None, submission_ids=None)


def rows_of(cohort: Cohort, rows: Ints) -> Cohort:
    """Some lesions of a cohort as a cohort."""
    ids = cohort.ids[rows].tolist()
    return dataclasses.replace(
        cohort, table=cohort.table[rows], fingerprint=fingerprint({"of": cohort.fingerprint, "lesions": ids})
    )


def relabelled_by(data: DataFolder, giver: Ints) -> DataFolder:
    """The data with each lesion's label, and all that is known only after the diagnosis, taken from another row."""
    train = data.train
    moved = [name for name in train.table.columns if name == train.task.target or name in train.forbidden]
    table = train.table.with_columns(train.table[name].gather(giver) for name in moved)
    changed = fingerprint({"of": train.fingerprint, "labels of": giver.tolist()})
    return dataclasses.replace(data, train=dataclasses.replace(train, table=table, fingerprint=changed))
