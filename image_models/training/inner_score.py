"""The score of an epoch on the inner split: which there are, and for how many classes. The larger the better."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from data.errors import RecipeError
from data.scores import multiclass, ranking
from data.scores.calibration import log_loss
from image_models.lesions import Ints
from image_models.recipe import ImageModelRecipe

Floats = npt.NDArray[np.float64]
Score = Callable[[Ints, Floats], float]

OF_TWO: dict[str, Score] = {
    "pauc": ranking.pauc,
    "auc": ranking.auc,
    "average_precision": ranking.average_precision,
    "loss": lambda target, probability: -log_loss(target, probability),
}
"""From targets and the probabilities of the positive class."""

OF_MORE: dict[str, Score] = {"macro_auc": multiclass.auc, "loss": OF_TWO["loss"]}
"""From targets and one column of probabilities per class."""


def checked_score(recipe: ImageModelRecipe, classes: int) -> str:
    """The name of the recipe's score for this number of classes; refused where it has none."""
    possible = OF_TWO if classes == 2 else OF_MORE
    name = recipe.select_by
    if name == "score":
        return next(iter(possible))
    if name not in possible:
        raise RecipeError(
            f"image model {recipe.name}: select_by = {name!r} is no score of {classes} classes; take one of "
            f"{', '.join(possible)}, or leave it out"
        )
    return name


def inner_score(name: str, target: Ints, probability: Floats) -> float:
    """The named score of probabilities (N, columns): one column for two classes, else one per class."""
    if probability.shape[1] == 1:
        return OF_TWO[name](target, probability[:, 0])
    return OF_MORE[name](target, probability)


def progress_scores(target: Ints, probability: Floats) -> dict[str, float]:
    """Loss, accuracy and AUC of the inner rows, as `EpochCurve` names them."""
    two = probability.shape[1] == 1
    by_class = np.hstack([1 - probability, probability]) if two else probability
    return {
        "inner_loss": log_loss(target, probability[:, 0] if two else probability),
        "inner_accuracy": multiclass.accuracy(target, by_class),
        "inner_auc": ranking.auc(target, probability[:, 0]) if two else multiclass.auc(target, probability),
    }
