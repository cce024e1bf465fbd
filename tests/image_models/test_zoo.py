"""Networks by name, on timm's own miniature models."""

import re
from typing import Any

import pytest
import timm
import torch
from torch import nn

from data.errors import RecipeError
from image_models.networks.cost import describe
from image_models.networks.image_model import ImageModel
from image_models.networks.pooling import MapAverage, MultiScaleGeM, TokenAverage
from image_models.networks.registries import NETWORKS
from image_models.networks.zoo import build
from image_models.recipe import ImageModelRecipe
from image_models.training.optimise import parameter_groups


def recipe(backbone: str, **changes: Any) -> ImageModelRecipe:
    return ImageModelRecipe(**{"name": "m", "backbone": backbone, "pretrained": "none", "image_size": 64, **changes})


@pytest.mark.parametrize(
    ("backbone", "head", "pool"),
    [
        ("lesion_net", "average", MapAverage),
        ("test_resnet", "average", MapAverage),
        ("test_convnext", "multi_scale_gem", MultiScaleGeM),
        ("test_vit", "token_average", TokenAverage),
        ("test_vit2", "token_average", TokenAverage),
        ("mobilenetv3_small_050", "timm", nn.Identity),
    ],
)
def test_each_family_gets_its_head_and_gradients_reach_every_parameter(backbone: str, head: str, pool: type) -> None:
    model = build(recipe(backbone), 2)
    assert (model.head, type(model.pool)) == (head, pool)
    logits = model(torch.randn(3, 3, 64, 64))
    assert logits.shape == (3, 1)
    logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "lesion_net"])
@pytest.mark.parametrize("head", ["multi_scale_gem", "average", "token_average"])
def test_every_head_fits_every_layout(backbone: str, head: str) -> None:
    model = build(recipe(backbone, head=head), 7)
    assert model.eval()(torch.randn(2, 3, 64, 64)).shape == (2, 7)


def test_maps_and_tokens_of_transformers_agree() -> None:
    model = build(recipe("test_vit"), 2).eval()
    features = model.backbone.forward_features(torch.randn(2, 3, 64, 64))
    maps = model.maps(features)
    assert maps.shape == (2, model.backbone.num_features, 4, 4)
    prefix = model.backbone.num_prefix_tokens
    torch.testing.assert_close(maps[:, :, 1, 2], features[:, prefix + 1 * 4 + 2])
    torch.testing.assert_close(model.pool(features), maps.mean((2, 3)))


def test_swin_tokens_lie_in_a_map() -> None:
    model = build(recipe("swin_tiny_patch4_window7_224"), 2).eval()
    assert (model.head, model.layout) == ("token_average", "maps_last")
    features = model.backbone.forward_features(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(model.pool(model.tokens(features)), features.mean((1, 2)))


def test_the_norm_behind_timm_s_pooling_is_taken_over() -> None:
    model = build(recipe("test_convnext"), 2)
    assert isinstance(model.norm, nn.LayerNorm)
    assert not any(name.startswith("backbone.head.") for name, _ in model.named_parameters())
    assert isinstance(build(recipe("test_vit"), 2).norm, nn.Identity)  # its tokens are normalised already


def test_average_of_a_resnet_is_what_timm_computes() -> None:
    model = build(recipe("test_resnet"), 2).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.vectors(images), model.backbone(images))


@pytest.mark.parametrize("size", [32, 80, 96])
def test_image_size_is_free(size: int) -> None:
    for backbone in ("test_vit", "test_convnext", "lesion_net"):
        assert build(recipe(backbone, image_size=size), 2)(torch.randn(2, 3, size, size)).shape == (2, 1)


def test_hidden_layer_and_dropout() -> None:
    with_hidden, without = build(recipe("lesion_net", hidden=64), 2), build(recipe("lesion_net", hidden=0), 2)
    assert [type(layer) for layer in with_hidden.classifier] == [nn.Linear, nn.GELU, nn.Dropout, nn.Linear]
    assert with_hidden.classifier[0].out_features == 64
    assert [type(layer) for layer in without.classifier] == [nn.Dropout, nn.Linear]
    assert build(recipe("lesion_net", dropout=0.7), 2).classifier[2].p == 0.7


def test_drop_path_reaches_the_backbone_or_is_refused() -> None:
    rates = [m.drop_prob for m in build(recipe("test_vit", drop_path=0.2), 2).modules() if hasattr(m, "drop_prob")]
    assert max(rates) == pytest.approx(0.2)
    with pytest.raises(RecipeError, match="drop_path"):
        build(recipe("lesion_net", drop_path=0.2), 2)


def test_building_draws_from_the_global_generator_alone() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build(recipe("test_convnext"), 2).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["classifier.0.weight"], states[2]["classifier.0.weight"])


def test_logits_are_float32_under_autocast_and_metadata_is_ignored() -> None:
    model, images = build(recipe("lesion_net"), 2).eval(), torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(images).dtype == torch.float32
    assert torch.equal(model(images), model(images, torch.randn(2, 5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "convnextv2_nan"}, "did you mean 'convnextv2_nano' or "),
        ({"backbone": "lesion_nett"}, "did you mean 'lesion_net'"),
        ({"backbone": "xxxxxxxxxxxx"}, "timm.list_models() lists the names"),
        ({"backbone": "vit_tiny_patch16_224.nonsense"}, "it has vit_tiny_patch16_224.augreg_in21k_ft_in1k, "),
        ({"backbone": "test_vit", "image_size": 70}, "into patches of 16 pixels; take 64 or 80"),
        ({"backbone": "test_vit", "image_size": 8}, "take 16"),
        ({"backbone": "test_convnext", "image_size": 8}, "image_size = 8: 'test_convnext' cannot take such images"),
        ({"backbone": "lesion_net", "head": "timm"}, "head = 'timm' does not fit 'lesion_net'"),
        ({"backbone": "crossvit_tiny_240", "image_size": 240}, "neither maps nor tokens"),
    ],
)
def test_refusals_name_the_key_and_the_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        build(recipe(**changes), 2)


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "test_resnet", "lesion_net"])
def test_parameter_groups_hold_every_parameter_once(backbone: str) -> None:
    model = build(recipe(backbone), 2)
    groups = parameter_groups(model, recipe(backbone, weight_decay=0.05, layer_decay=0.7))
    named = dict(model.named_parameters())
    listed = [name for group in groups for name in group["names"]]
    assert sorted(listed) == sorted(named)
    for group in groups:
        assert all(parameter is named[name] for name, parameter in zip(group["names"], group["params"], strict=True))


def test_vectors_embeddings_and_pooling_are_not_decayed() -> None:
    for backbone in ("test_vit", "test_convnext"):
        model = build(recipe(backbone), 2)
        for group in parameter_groups(model, recipe(backbone, weight_decay=0.05)):
            for name, parameter in zip(group["names"], group["params"], strict=True):
                plain = parameter.ndim <= 1 or "pos_embed" in name or "cls_token" in name or "reg_token" in name
                assert group["weight_decay"] == (0.0 if plain else 0.05), name
    assert {len(model.pool.p), len(model.pool.weight)} == {2}


def scales(model: ImageModel, layer_decay: float) -> dict[str, float]:
    groups = parameter_groups(model, recipe("x", layer_decay=layer_decay))
    return {name: group["lr_scale"] for group in groups for name in group["names"]}


def test_layers_learn_slower_the_deeper_they_lie() -> None:
    found = scales(build(recipe("test_vit"), 2), 0.5)
    blocks = len({name.split(".")[2] for name in found if name.startswith("backbone.blocks.")})
    assert found["classifier.0.weight"] == 1
    for block in range(blocks):
        assert found[f"backbone.blocks.{block}.attn.qkv.weight"] == 0.5 ** (blocks - block)
    assert found["backbone.patch_embed.proj.weight"] == 0.5 ** (blocks + 1)
    own = scales(build(recipe("lesion_net"), 2), 0.5)
    assert own["backbone.stem.0.weight"] == 0.5**4
    assert own["backbone.stages.2.convolve.0.weight"] == 0.5


def test_without_layer_decay_all_learn_alike() -> None:
    assert set(scales(build(recipe("test_convnext"), 2), 1.0).values()) == {1.0}


def test_cost_counts_parameters_bytes_and_operations() -> None:
    model = build(recipe("lesion_net", hidden=0), 2)
    cost = describe(model, 64)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    assert cost.megabytes == pytest.approx((4 * cost.parameters + buffers) / 1e6)
    convolutions = [
        (3, 32, 7, 16), (32, 32, 3, 16), (32, 32, 3, 16), (32, 64, 3, 8), (64, 64, 3, 8), (32, 64, 1, 8),
        (64, 96, 3, 4), (96, 96, 3, 4), (64, 96, 1, 4),
    ]  # fmt: skip
    by_hand = sum(2 * i * o * k * k * side * side for i, o, k, side in convolutions) + 2 * 96
    assert cost.gflops == pytest.approx(by_hand / 1e9)
    assert model.training


def test_attention_is_counted() -> None:
    """A ViT-tiny forward at 224 pixels is 1.26 billion multiply-adds (Touvron et al. 2021, Table 1: 1.3)."""
    assert describe(build(recipe("vit_tiny_patch16_224", image_size=224), 2), 224).gflops == pytest.approx(2.5, abs=0.1)


def test_our_own_networks_are_not_timm_s() -> None:
    assert not any(timm.is_model(name) for name in NETWORKS)


def test_half_precision_does_not_make_lesions_tie() -> None:
    """A ranking score suffers when bfloat16 rounds many logits to the same number, so the classifier stays float32."""
    torch.manual_seed(0)
    recipe = ImageModelRecipe(name="a", backbone="lesion_net", pretrained="none", image_size=32)
    model = build(recipe, 2).eval()
    images = torch.randn(300, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.float32
    assert len(torch.unique(logits)) > 290
