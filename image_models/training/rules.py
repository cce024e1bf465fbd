"""Which of the keys that say how a network is trained go together; `recipe.ImageModelRecipe` refuses the others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_models.networks.rules import Rule
    from image_models.recipe import ImageModelRecipe


def training_rules(recipe: "ImageModelRecipe") -> Iterator["Rule"]:
    """Every rule about the schedule, sampling, stopping, frozen networks and networks without images."""
    yield 0 < recipe.plateau_factor < 1, "plateau_factor", "between 0 and 1"
    for key in ("plateau_patience", "stop_after"):
        yield getattr(recipe, key) >= 0, key, "at least 0"
    judged = recipe.select == "best"
    yield (
        recipe.schedule != "plateau" or judged,
        "schedule",
        'follows the score of an inner split, which only select = "best" makes',
    )
    yield not recipe.stop_after or judged, "stop_after", 'needs the score of an inner split: select = "best"'
    yield (
        recipe.positive_repeats == 1 or recipe.sampling == "ratio",
        "positive_repeats",
        f'belongs to sampling = "ratio"; sampling is {recipe.sampling!r}',
    )
    if recipe.frozen:
        yield from _unchanged(recipe, "frozen = true keeps one vector per image, computed before training")
    if recipe.backbone == "none":
        yield from _unchanged(recipe, 'backbone = "none" has no images and no layers below the head')


def _unchanged(recipe: "ImageModelRecipe", why: str) -> Iterator["Rule"]:
    """Keys that change images or the layers that see them: without effect where neither is part of training."""
    for key, idle in (("drop_path", 0.0), ("layer_decay", 1.0), ("freeze_batch_norm", False)):
        yield getattr(recipe, key) == idle, key, f"{why}; leave it out"
    yield not recipe.augment.mixup, "augment", f"{why}, so mixup has nothing to mix; leave mixup out"
