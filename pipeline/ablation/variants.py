"""The recipes that the study compares: the run's own, each time with one part taken away.

A variant is a function from a recipe to a recipe, or to the reason why that recipe has no such part. What only needs
other columns of the same run (image models alone, single members) is no recipe and is in `rows.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from features.families.registry import patient_families
from features.recipe import FeatureRecipe
from pipeline.recipe import Recipe
from tabular.learners.registry import LEARNERS
from tabular.recipe import MemberRecipe


@dataclass(frozen=True)
class Variant:
    """A recipe with one part taken away."""

    name: str
    """Of its folder under `ablation/` and of its row."""
    title: str
    change: Callable[[Recipe], Recipe | str]
    """The changed recipe, or why there is nothing to take away."""

    def recipe(self, base: Recipe) -> Recipe | str:
        """The recipe of this variant, named in its description."""
        changed = self.change(base)
        if isinstance(changed, str):
            return changed
        return changed.model_copy(update={"description": f"{base.description} ({self.title})"})


def with_tabular(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with some keys of its stage two replaced."""
    return recipe.model_copy(update={"tabular": recipe.tabular.model_copy(update=changes)})


def with_features(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with some keys of its features replaced."""
    return recipe.model_copy(update={"features": recipe.features.model_copy(update=changes)})


def metadata_alone(recipe: Recipe) -> Recipe | str:
    """No image models; members that differed only in seeing their columns become one."""
    if not recipe.image_models:
        return "the recipe has no image models: the full row is metadata alone"
    kept: list[MemberRecipe] = []
    # Members that never saw an image come first, because their fitted models can be taken as they are.
    for member in sorted(recipe.tabular.members, key=lambda member: member.image_columns):
        blind = member.model_copy(update={"image_columns": False})
        if not any(blind.model_copy(update={"name": other.name}) == other for other in kept):
            kept.append(blind)
    gone = {member.name for member in recipe.tabular.members} - {member.name for member in kept}
    tune = recipe.tabular.tune
    searched = tuple(name for name in tune.members if name not in gone)
    tune = tune.model_copy(
        update={
            "members": searched,
            "spaces": {name: space for name, space in tune.spaces.items() if name not in gone or name in LEARNERS},
            **({"trials": 0} if tune.members and not searched else {}),
        }
    )
    return with_tabular(recipe.model_copy(update={"image_models": ()}), members=tuple(kept), tune=tune)


def metadata_alone_simply(recipe: Recipe) -> Recipe | str:
    """No image models, and the published columns imputed and target-encoded instead of engineered features."""
    without_images = metadata_alone(recipe) if recipe.image_models else recipe
    assert isinstance(without_images, Recipe)
    kept = {key: getattr(recipe.features, key) for key in ("extra_columns", "unused_columns", "target_smoothing")}
    simple = without_images.model_copy(update={"features": FeatureRecipe(set="simple", **kept)})
    return "the recipe's features are the simple ones" if simple.features == recipe.features else simple


def without_patient_features(recipe: Recipe) -> Recipe | str:
    """No feature that compares a lesion with the patient's others."""
    if not set(recipe.features.chosen) & set(patient_families()):
        return "not in this recipe: no feature looks at the patient's other lesions"
    without = tuple(dict.fromkeys([*recipe.features.without, *patient_families()]))
    return with_features(recipe, without=without)


def without_unexpected(recipe: Recipe) -> Recipe | str:
    """No residual of what the other numbers let expect."""
    if not recipe.features.adds_unexpected:
        return "not in this recipe: nothing is held against what the other numbers let expect"
    return with_features(recipe, unexpected=False)


def without_relabelled(recipe: Recipe) -> Recipe | str:
    """No image model that learned the larger, worth-a-biopsy class."""
    kept = tuple(model for model in recipe.image_models if model.labels == "target")
    if len(kept) == len(recipe.image_models):
        return "not in this recipe: no image model learns relabelled lesions"
    if not kept:
        return "every image model of this recipe learns relabelled lesions"
    return recipe.model_copy(update={"image_models": kept})


def without_resampling(recipe: Recipe) -> Recipe | str:
    """Every training lesion once."""
    if recipe.tabular.resample.method == "none":
        return "not in this recipe: nothing is resampled"
    return with_tabular(recipe, resample=recipe.tabular.resample.model_copy(update={"method": "none"}))


def without_tuning(recipe: Recipe) -> Recipe | str:
    """Every member with the parameters that its recipe gives."""
    members = recipe.tabular.members
    if not any(member.by_fold for member in members):
        return "not in this recipe: no parameters were searched"
    return with_tabular(recipe, members=tuple(member.model_copy(update={"by_fold": ()}) for member in members))


VARIANTS = (
    Variant("metadata_advanced", "metadata only, advanced features", metadata_alone),
    Variant("metadata_simple", "metadata only, simple features", metadata_alone_simply),
    Variant("without_patient_features", "without within-patient features", without_patient_features),
    Variant("without_unexpected", "without what is unexpected", without_unexpected),
    Variant("without_relabelled", "without relabelled image models", without_relabelled),
    Variant("without_resampling", "without resampling", without_resampling),
    Variant("without_tuning", "without tuning", without_tuning),
)
