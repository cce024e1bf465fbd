"""Networks by name: a backbone from timm or from `networks/`, pooling, and a small classifier.

A network of one's own is one file in `networks/` and one entry in NETWORKS. Pretrained weights come from `weights.py`;
training, data and the loss are elsewhere.
"""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, is_model, split_model_name_tag
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from data.errors import RecipeError
from image_models.groups import Cost, describe, parameter_groups
from image_models.networks.lesion_net import LesionNet
from image_models.networks.lesion_vit import LesionViT
from image_models.pooling import MapAverage, MultiScaleGeM, TokenAverage
from image_models.recipe import ImageModelRecipe
from image_models.weights import load_pretrained

__all__ = ["NETWORKS", "Cost", "ImageModel", "build", "build_backbone", "describe", "parameter_groups"]

NETWORKS: dict[str, Callable[[], nn.Module]] = {"lesion_net": LesionNet, "lesion_vit": LesionViT}
"""Our own backbones: modules with `num_features`, `forward_features(images)` and perhaps `group_matcher()`."""

Layout = Literal["maps", "maps_last", "tokens"]
"""How a backbone lays out its features: (N, C, H, W), (N, H, W, C) or (N, L, C)."""


class ImageModel(nn.Module):
    """Images (N, 3, S, S), normalised, to logits: (N, 1) for two classes, (N, classes) for more."""

    def __init__(self, backbone: Any, layout: Layout, head: str, recipe: ImageModelRecipe, classes: int) -> None:
        super().__init__()
        self.layout = layout
        self.head = head
        self.prefix_tokens: int = getattr(backbone, "num_prefix_tokens", 0)
        self.pool = pooling(head, self.prefix_tokens if layout == "tokens" else 0)
        self.norm: nn.Module = nn.Identity() if head == "timm" else take_norm(backbone)
        self.backbone = backbone
        width = backbone.head_hidden_size if head == "timm" else backbone.num_features
        self.classifier = classifier(width, recipe.hidden, recipe.dropout, 1 if classes == 2 else classes)

    def maps(self, features: Tensor) -> Tensor:
        """Lay the backbone's features out as maps (N, C, H, W); patch tokens must make a square."""
        if self.layout == "tokens":
            patches = features[:, self.prefix_tokens :]
            side = round(patches.shape[1] ** 0.5)
            return patches.mT.reshape(len(patches), -1, side, side)
        return features if self.layout == "maps" else features.permute(0, 3, 1, 2)

    def tokens(self, features: Tensor) -> Tensor:
        """Lay the backbone's features out as tokens (N, L, C), leading class tokens included."""
        return features if self.layout == "tokens" else self.maps(features).flatten(2).mT

    def vectors(self, images: Tensor) -> Tensor:
        """Return one vector per image: what the classifier, or a fusion with metadata, works from."""
        features: Tensor = self.backbone.forward_features(images)
        vectors: Tensor
        if self.head == "timm":
            vectors = self.backbone.forward_head(features, pre_logits=True)
        else:
            laid_out = self.tokens(features) if self.head == "token_average" else self.maps(features)
            vectors = self.norm(self.pool(laid_out))
        return vectors

    def forward(self, images: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return float32 logits. `metadata` is what fusion networks take beside the images; this one ignores it."""
        vectors = self.vectors(images).float()
        # In bfloat16 a thousand lesions share some hundred logits: ties, which a ranking score pays for.
        with torch.autocast(vectors.device.type, enabled=False):
            logits: Tensor = self.classifier(vectors)
        return logits


def build(recipe: ImageModelRecipe, classes: int, *, weights_dir: Path | None = None) -> ImageModel:
    """Build the recipe's network for `classes` classes, with the pretrained weights it asks for.

    New weights are drawn from torch's global generator: seed it first.
    """
    backbone = build_backbone(recipe)
    load_pretrained(backbone, recipe, weights_dir)
    shape = feature_shape(backbone, recipe)
    layout = layout_of(backbone, shape, recipe)
    head = recipe.head if recipe.head != "auto" else suited_head(backbone, layout)
    check_head(head, backbone, layout, shape, recipe)
    return ImageModel(backbone, layout, head, recipe, classes)


def build_backbone(recipe: ImageModelRecipe) -> Any:
    """Build the recipe's backbone with random weights, for its image size."""
    name = recipe.backbone
    if name in NETWORKS:
        if recipe.drop_path:
            raise RecipeError(
                f"model {recipe.name!r}: drop_path = {recipe.drop_path}: {name!r} has no paths to drop; take 0"
            )
        return NETWORKS[name]()
    check_name(name)
    # Where the number of tokens is fixed, position embeddings and windows are made for the size asked for.
    source = get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": recipe.image_size} if source and source.fixed_input_size else {}
    if recipe.drop_path:
        options["drop_path_rate"] = recipe.drop_path
    try:
        backbone = timm.create_model(name, pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        asked = f"image_size = {recipe.image_size}, drop_path = {recipe.drop_path}"
        raise RecipeError(f"model {recipe.name!r}: {name!r} cannot be built with {asked}: {error}") from error
    check_patches(backbone, recipe)
    return backbone


def check_name(name: str) -> None:
    """Refuse a backbone that neither timm nor NETWORKS knows, naming the nearest ones."""
    architecture, tag = split_model_name_tag(name)
    if not is_model(architecture):
        near = difflib.get_close_matches(architecture, [*NETWORKS, *timm.list_models()], n=3)
        remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else "timm.list_models() lists the names."
        raise RecipeError(f"backbone = {name!r}: neither a timm model nor one of {sorted(NETWORKS)}; {remedy}")
    tags = get_arch_pretrained_cfgs(architecture)
    if tag and name not in tags:
        known = ", ".join(tags) or "none"
        raise RecipeError(
            f"backbone = {name!r}: timm has no weights tagged {tag!r} for {architecture!r}; it has {known}"
        )


def check_patches(backbone: Any, recipe: ImageModelRecipe) -> None:
    """Refuse an image size that does not divide into the backbone's patches."""
    embed = getattr(backbone, "patch_embed", None)
    side = embed.patch_size[0] if isinstance(embed, PatchEmbed) and embed.patch_size else 1
    if recipe.image_size % side:
        below = recipe.image_size // side * side
        remedy = " or ".join(str(size) for size in (below, below + side) if size)
        raise RecipeError(
            f"model {recipe.name!r}: image_size = {recipe.image_size}: {recipe.backbone!r} cuts images into patches "
            f"of {side} pixels; take {remedy}"
        )


@torch.inference_mode()
def feature_shape(backbone: Any, recipe: ImageModelRecipe) -> tuple[int, ...]:
    """Run one black image through the backbone, the one sure way to learn what it takes and what it gives."""
    backbone.eval()
    try:
        features = backbone.forward_features(torch.zeros(1, 3, recipe.image_size, recipe.image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise RecipeError(
            f"model {recipe.name!r}: image_size = {recipe.image_size}: {recipe.backbone!r} cannot take such images "
            f"({error}); sizes divisible by 32 mostly work"
        ) from error
    finally:
        backbone.train()
    return tuple(features.shape) if isinstance(features, Tensor) else ()


def layout_of(backbone: Any, shape: tuple[int, ...], recipe: ImageModelRecipe) -> Layout:
    """Tell maps from tokens, by the shape of one image's features."""
    channels = backbone.num_features
    if len(shape) == 3 and shape[2] == channels:
        return "tokens"
    if len(shape) == 4 and getattr(backbone, "output_fmt", None) == "NHWC" and shape[3] == channels:
        return "maps_last"
    if len(shape) == 4 and shape[1] == channels:
        return "maps"
    raise RecipeError(
        f"model {recipe.name!r}: {recipe.backbone!r} gives features of shape {shape}, neither maps nor tokens of "
        f'{channels} channels; head = "timm" is not possible either; choose another backbone'
    )


def suited_head(backbone: Any, layout: Layout) -> str:
    """Choose the head of `head = "auto"`.

    ConvNeXt pools with multi-scale GeM, transformers average their tokens (Swin's lie in a map). MobileNetV3 and its
    like keep pretrained layers behind their pooling, and so use timm's own.
    """
    if isinstance(backbone, ConvNeXt):
        return "multi_scale_gem"
    if layout != "maps":
        return "token_average"
    return (
        "average" if getattr(backbone, "head_hidden_size", backbone.num_features) == backbone.num_features else "timm"
    )


def check_head(head: str, backbone: Any, layout: Layout, shape: tuple[int, ...], recipe: ImageModelRecipe) -> None:
    """Refuse a head that does not fit the backbone."""
    where = f"model {recipe.name!r}: head = {head!r} does not fit {recipe.backbone!r}"
    if head == "timm" and not hasattr(backbone, "forward_head"):
        raise RecipeError(f'{where}, which is not from timm; take "auto"')
    patches = shape[1] - getattr(backbone, "num_prefix_tokens", 0) if layout == "tokens" else 1
    if head in ("multi_scale_gem", "average") and round(patches**0.5) ** 2 != patches:
        raise RecipeError(f'{where}, whose {patches} tokens do not make a square map; take "token_average"')


def pooling(head: str, prefix_tokens: int) -> nn.Module:
    """Return the pooling layer of a head; timm's own pooling is part of the backbone."""
    if head == "multi_scale_gem":
        return MultiScaleGeM()
    if head == "token_average":
        return TokenAverage(prefix_tokens)
    return MapAverage() if head == "average" else nn.Identity()


def take_norm(backbone: Any) -> nn.Module:
    """Take over the norm that ConvNeXt, BEiT and others keep behind their pooling, pretrained values included."""
    for owner, name in ((getattr(backbone, "head", None), "norm"), (backbone, "fc_norm")):
        norm = getattr(owner, name, None)
        if isinstance(norm, nn.LayerNorm):
            taken = nn.LayerNorm(backbone.num_features, eps=norm.eps)
            taken.load_state_dict(norm.state_dict())
            setattr(owner, name, nn.Identity())
            return taken
    return nn.Identity()


def classifier(inputs: int, hidden: int, dropout: float, outputs: int) -> nn.Sequential:
    """Return dropout and a linear layer, behind a fully connected layer unless `hidden` is 0."""
    widening: list[nn.Module] = [nn.Linear(inputs, hidden), nn.GELU()] if hidden else []
    return nn.Sequential(*widening, nn.Dropout(dropout), nn.Linear(hidden or inputs, outputs))
