"""Networks by name: backbones from timm or from `own/`, and above them what the recipe asks for.

Pretrained weights come from `weights.py`; training, data and the loss are elsewhere.
"""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, is_model, split_model_name_tag
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from data.errors import RecipeError
from image_models.networks.heads import ImagesHead, MetadataHead
from image_models.networks.image_branch import ImageBranch, Layout
from image_models.networks.image_model import FusionModel, ImageModel, Network
from image_models.networks.layers import hold_stages
from image_models.networks.metadata_shape import MetadataShape
from image_models.networks.registries import FUSIONS, NETWORKS
from image_models.networks.weights import load_pretrained
from image_models.recipe import ImageModelRecipe


def build(
    recipe: ImageModelRecipe,
    classes: int,
    *,
    weights_dir: Path | None = None,
    metadata: MetadataShape | None = None,
) -> Network:
    """Build the recipe's network for `classes` classes, with the pretrained weights it asks for.

    `metadata` says what the encoded metadata columns of the recipe are; a recipe without any needs none. New weights
    are drawn from torch's global generator: seed it first. The branches of a frozen recipe do not take gradients.
    """
    takes_metadata = bool(recipe.metadata.columns)
    if takes_metadata and metadata is None:
        raise ValueError(f"model {recipe.name!r} takes metadata columns: build needs their MetadataShape")
    outputs = 1 if classes == 2 else classes
    parts = recipe.image_branches()
    if len(parts) == 1 and not takes_metadata:
        model: Network = ImageModel(*backbone_and_head(parts[0], weights_dir), recipe, outputs)
    else:
        twice = recipe.second_backbone == "same"
        branches = [
            ImageBranch(*backbone_and_head(part, weights_dir), recipe.gem_kernels)
            for part in (parts[:1] if twice else parts)
        ]
        if twice:
            feature_shape(branches[0].backbone, parts[1])
        shape = metadata if takes_metadata else None
        width = sum(branch.width for branch in branches) * (2 if twice else 1)
        head = build_head(width, shape, recipe, outputs)
        model = FusionModel(branches, [part.image_size for part in parts], head, shape, recipe.pooled_dropout)
    if recipe.frozen:
        for branch in model.branches:
            branch.hold()
    if recipe.held_stages:
        hold_stages(model, recipe.held_stages)
    return model


def build_head(image_width: int, shape: MetadataShape | None, recipe: ImageModelRecipe, outputs: int) -> nn.Module:
    """Return what stands above the image branches."""
    if shape is None:
        return ImagesHead(image_width, recipe, outputs)
    if recipe.backbone == "none":
        return MetadataHead(shape, recipe, outputs)
    head: nn.Module = FUSIONS.need(recipe.fusion).head(image_width, shape, recipe, outputs)
    return head


def backbone_and_head(recipe: ImageModelRecipe, weights_dir: Path | None) -> tuple[nn.Module, Layout, str]:
    """Build one backbone, pretrained as the recipe says, and choose the head that goes with it."""
    backbone = build_backbone(recipe)
    load_pretrained(backbone, recipe, weights_dir)
    shape = feature_shape(backbone, recipe)
    layout = layout_of(backbone, shape, recipe)
    if recipe.metadata.columns and FUSIONS.need(recipe.fusion).places:
        return backbone, layout, "places"
    head = recipe.head if recipe.head != "auto" else suited_head(backbone, layout)
    check_head(head, backbone, layout, shape, recipe)
    return backbone, layout, head


def tried_backbones(recipe: ImageModelRecipe) -> int:
    """Parameters of the recipe's backbones, found by building them without memory; refuses what a fit would refuse."""
    with torch.device("meta"):
        parts = [backbone_and_head(replace(part, pretrained="none"), None)[0] for part in recipe.image_branches()]
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def build_backbone(recipe: ImageModelRecipe) -> Any:
    """Build the recipe's backbone with random weights, for its image size."""
    name = recipe.backbone
    if name in NETWORKS:
        if recipe.drop_path:
            raise RecipeError(
                f"model {recipe.name!r}: drop_path = {recipe.drop_path}: {name!r} has no paths to drop; take 0"
            )
        return NETWORKS.need(name)()
    check_name(name)
    # Where the number of tokens is fixed, position embeddings and windows are made for the size asked for.
    source = get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": recipe.image_size} if source and source.fixed_input_size else {}
    if options and recipe.small_epochs:
        raise RecipeError(f"model {recipe.name!r}: small_epochs: {name!r} takes one size of image; leave it out")
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
        raise RecipeError(f"backbone = {name!r}: neither a timm model nor one of {list(NETWORKS)}; {remedy}")
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

    ConvNeXt pools with multi-scale GeM, transformers average their tokens (Swin's lie in a map). Networks with layers
    behind their pooling, such as MobileNetV3 with its pretrained ones, keep them.
    """
    if isinstance(backbone, ConvNeXt):
        return "multi_scale_gem"
    if layout != "maps":
        return "token_average"
    width = backbone.num_features
    behind = hasattr(backbone, "head_layers") or getattr(backbone, "head_hidden_size", width) != width
    return "timm" if behind else "average"


def check_head(head: str, backbone: Any, layout: Layout, shape: tuple[int, ...], recipe: ImageModelRecipe) -> None:
    """Refuse a head that does not fit the backbone."""
    where = f"model {recipe.name!r}: head = {head!r} does not fit {recipe.backbone!r}"
    if head == "timm" and not hasattr(backbone, "forward_head"):
        raise RecipeError(f'{where}, which has no layers behind its pooling; take "auto"')
    patches = shape[1] - getattr(backbone, "num_prefix_tokens", 0) if layout == "tokens" else 1
    if head in ("multi_scale_gem", "average") and round(patches**0.5) ** 2 != patches:
        raise RecipeError(f'{where}, whose {patches} tokens do not make a square map; take "token_average"')
