"""Attention rollout against a plain computation from the layers' weights."""

import pytest
import torch

from image_models.networks.zoo import build
from image_models.recipe import ImageModelRecipe
from image_models.rollout import attention_rollout


def network(**keys: object) -> torch.nn.Module:
    torch.manual_seed(0)
    known = {"name": "net", "pretrained": "none", "image_size": 32, "hidden": 4, "head": "token_average"}
    return build(ImageModelRecipe(**known | keys), 2).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backbone", "head", "prefix"),
    [
        ("lesion_vit", "token_average", 0),
        ("vit_tiny_patch16_224", "token_average", 1),
        ("vit_tiny_patch16_224", "timm", 1),
    ],
)
def test_rollout_equals_a_plain_computation(backbone: str, head: str, prefix: int) -> None:
    model, images = network(backbone=backbone, head=head), torch.randn(2, 3, 32, 32)
    inputs: list[torch.Tensor] = []
    hooks = [
        block.norm1.register_forward_hook(lambda _, __, output: inputs.append(output))
        for block in model.backbone.blocks
    ]
    with torch.no_grad():
        before = model(images)
    for hook in hooks:
        hook.remove()
    rolled = None
    for block, x in zip(model.backbone.blocks, inputs, strict=True):
        attention, heads = block.attn, block.attn.num_heads
        weight, bias = attention.qkv.weight.detach(), attention.qkv.bias.detach()
        q, k = ((x @ weight.T + bias)[..., i * x.shape[2] : (i + 1) * x.shape[2]] for i in (0, 1))
        shares = [
            torch.softmax(a @ b.mT / a.shape[-1] ** 0.5, dim=-1)
            for a, b in zip(q.chunk(heads, dim=-1), k.chunk(heads, dim=-1), strict=True)
        ]
        layer = 0.5 * torch.stack(shares).mean(dim=0) + 0.5 * torch.eye(x.shape[1])
        rolled = layer if rolled is None else layer @ rolled
    assert rolled is not None
    torch.testing.assert_close(rolled.sum(dim=2), torch.ones(2, rolled.shape[1]))
    row = rolled[:, 0] if head == "timm" else rolled[:, prefix:].mean(dim=1)
    found = attention_rollout(model, images)
    assert found is not None
    torch.testing.assert_close(found.flatten(1), row[:, prefix:].detach(), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(model(images), before)
    assert not any(part._forward_pre_hooks for part in model.modules())
    assert all(block.attn.fused_attn for block in model.backbone.blocks)


def test_networks_without_attention_among_all_places_have_none() -> None:
    assert attention_rollout(network(backbone="lesion_net", head="average"), torch.randn(1, 3, 32, 32)) is None


def test_the_first_look_at_the_first_picture_is_followed() -> None:
    model = network(backbone="lesion_vit", second_backbone="lesion_net", head="auto", pictures=("a", "b"))
    images = torch.randn(2, 6, 32, 32)
    found, alone = attention_rollout(model, images), attention_rollout(model, images[:, :3])
    assert found is not None
    assert alone is not None
    torch.testing.assert_close(found, alone)
