"""Which of the keys that shape a network go together; `recipe.ImageModelRecipe` refuses the others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_models.recipe import ImageModelRecipe

Rule = tuple[bool, str, str]
"""Whether it is kept, the key to name, and what the key must be."""


def network_rules(recipe: "ImageModelRecipe") -> Iterator[Rule]:
    """Every rule about backbones, metadata, fusion and classifier."""
    yield from _second_backbone(recipe)
    yield recipe.classifier == "plain" or recipe.hidden >= 1, "hidden", 'classifier = "batch_norm" needs at least 1'
    yield (
        not (recipe.frozen and recipe.head == "self_attention"),
        "frozen",
        'head = "self_attention" has layers to train below the vectors that are kept',
    )
    if recipe.backbone == "none":
        yield bool(recipe.metadata.columns), "backbone", "needs metadata.columns, the only input left"
        yield not recipe.second_backbone, "second_backbone", "stands beside no first network; name it as backbone"
        yield recipe.fusion == "concatenation", "fusion", 'backbone = "none" leaves nothing to fuse; leave it out'
        yield not recipe.frozen, "frozen", 'backbone = "none" leaves nothing to freeze'
    yield from _sites(recipe)
    if recipe.fusion == "token_cross_attention":
        yield bool(recipe.metadata.columns), "fusion", "needs metadata.columns"
        yield not recipe.second_backbone, "second_backbone", "token_cross_attention takes one network's feature map"
        yield recipe.head == "auto", "head", "token_cross_attention takes the feature map as it is; leave head out"
        yield not recipe.frozen, "frozen", "token_cross_attention needs feature maps, and only vectors are kept"


def _second_backbone(recipe: "ImageModelRecipe") -> Iterator[Rule]:
    second = recipe.second_backbone
    yield second != "none", "second_backbone", 'leave it out, or write ""'
    yield recipe.second_image_size >= 0, "second_image_size", "at least 0"
    yield bool(second) or not recipe.second_image_size, "second_image_size", "needs second_backbone"
    yield (
        second != "same" or recipe.second_image_size not in (0, recipe.image_size),
        "second_image_size",
        'second_backbone = "same" needs another size than image_size',
    )
    yield (
        recipe.pretrained in ("timm", "none") or second in ("", "same", recipe.backbone),
        "pretrained",
        'one file cannot start two different networks; put both into the weights folder and take "timm"',
    )


def _sites(recipe: "ImageModelRecipe") -> Iterator[Rule]:
    column, columns = recipe.site_column, recipe.metadata.columns
    yield (
        bool(column) == (recipe.fusion == "site_branches"),
        "site_column",
        f'goes with fusion = "site_branches" and only with it; fusion is {recipe.fusion!r}',
    )
    yield not column or column in columns, "site_column", f"is not among metadata.columns {list(columns)}"
