import re
from typing import Any

import pytest

from image_models.recipe import ImageModelRecipe, MetadataRecipe

TOLD = MetadataRecipe(columns=("age", "site"))


def recipe(**changes: Any) -> ImageModelRecipe:
    return ImageModelRecipe(**{"name": "m", "backbone": "lesion_net", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "none"}, "backbone = 'none': needs metadata.columns"),
        ({"backbone": "none", "metadata": TOLD, "second_backbone": "lesion_net"}, "name it as backbone"),
        ({"backbone": "none", "metadata": TOLD, "fusion": "gated"}, "leaves nothing to fuse"),
        ({"backbone": "none", "metadata": TOLD, "frozen": True}, "leaves nothing to freeze"),
        ({"second_backbone": "none"}, "second_backbone = 'none': leave it out"),
        ({"second_image_size": 64}, "second_image_size = 64: needs second_backbone"),
        ({"second_backbone": "same"}, 'second_image_size = 0: second_backbone = "same" needs another size'),
        ({"second_backbone": "lesion_net", "second_image_size": -1}, "second_image_size = -1: at least 0"),
        ({"second_backbone": "lesion_vit", "pretrained": "a.safetensors"}, "one file cannot start two different"),
        ({"metadata": TOLD, "fusion": "site_branches"}, 'goes with fusion = "site_branches" and only with it'),
        ({"metadata": TOLD, "site_column": "site"}, "fusion is 'concatenation'"),
        (
            {"metadata": TOLD, "fusion": "site_branches", "site_column": "sex"},
            "site_column = 'sex': is not among metadata.columns ['age', 'site']",
        ),
        ({"fusion": "token_cross_attention"}, "fusion = 'token_cross_attention': needs metadata.columns"),
        ({"metadata": TOLD, "fusion": "token_cross_attention", "head": "average"}, "takes the feature map as it is"),
        ({"metadata": TOLD, "fusion": "token_cross_attention", "frozen": True}, "needs feature maps"),
        (
            {"metadata": TOLD, "fusion": "token_cross_attention", "second_backbone": "lesion_net"},
            "takes one network's feature map",
        ),
        ({"frozen": True, "head": "self_attention"}, "layers to train below the vectors"),
        ({"classifier": "batch_norm", "hidden": 0}, 'hidden = 0: classifier = "batch_norm" needs at least 1'),
    ],
)
def test_keys_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        recipe(**changes)


def test_one_recipe_per_network_that_sees_images() -> None:
    both = recipe(second_backbone="lesion_vit", image_size=64, second_image_size=96, hidden=5)
    assert [(part.backbone, part.image_size, part.hidden) for part in both.image_branches()] == [
        ("lesion_net", 64, 5),
        ("lesion_vit", 96, 5),
    ]
    assert all(not part.second_backbone for part in both.image_branches())
    assert both.input_size == 96
    assert recipe(second_backbone="lesion_vit", image_size=64).image_branches()[1].image_size == 64
    assert recipe(image_size=64).image_branches() == (recipe(image_size=64),)
    assert recipe(backbone="none", metadata=TOLD).image_branches() == ()


def test_one_file_starts_the_same_network_twice() -> None:
    twice = recipe(second_backbone="lesion_net", second_image_size=64, pretrained="a.safetensors")
    assert [part.pretrained for part in twice.image_branches()] == ["a.safetensors"] * 2
