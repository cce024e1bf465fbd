"""lesion_vit: a small vision transformer with patches of 8 pixels, for small images and training from scratch.

timm's own transformer in a size it does not ship: the demo's second opinion beside `lesion_net`.
"""

from timm.models import VisionTransformer


class LesionViT(VisionTransformer):
    """Images (N, 3, S, S) to tokens (N, (S / 8)^2, 64); 0.2 million parameters; any S divisible by 8."""

    name = "lesion_vit"

    def __init__(self) -> None:
        super().__init__(
            img_size=64,
            patch_size=8,
            embed_dim=64,
            depth=3,
            num_heads=4,
            num_classes=0,
            class_token=False,
            global_pool="avg",
            dynamic_img_size=True,
        )


NETWORK = LesionViT
