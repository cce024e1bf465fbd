"""One backbone and the pooling above it: images to one vector each, or to tokens."""

from typing import Any, Literal

from torch import Tensor, nn

from image_models.networks.pooling import AttendedAverage, MapAverage, MultiScaleGeM, TokenAverage

Layout = Literal["maps", "maps_last", "tokens"]
"""How a backbone lays out its features: (N, C, H, W), (N, H, W, C) or (N, L, C)."""

TOKEN_HEADS = ("token_average", "self_attention")
"""Heads that pool tokens; the others pool maps, `timm` the backbone's features as they are."""


class ImageBranch(nn.Module):
    """Images (N, 3, S, S), normalised, to vectors (N, width)."""

    def __init__(self, backbone: Any, layout: Layout, head: str, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.layout = layout
        self.head = head
        self.prefix_tokens: int = getattr(backbone, "num_prefix_tokens", 0)
        prefix = self.prefix_tokens if layout == "tokens" else 0
        self.pool = pooling(head, prefix, backbone.num_features, kernels)
        self.norm: nn.Module = nn.Identity() if head == "timm" else take_norm(backbone)
        if head != "timm" and hasattr(backbone, "head_layers"):
            backbone.head_layers.requires_grad_(False)  # kept, so that weight files fit, but out of use
        self.backbone = backbone
        self.width: int = backbone.head_hidden_size if head == "timm" else backbone.num_features

    def maps(self, features: Tensor) -> Tensor:
        """Lay the backbone's features out as maps (N, C, H, W); patch tokens must make a square."""
        if self.layout == "tokens":
            patches = features[:, self.prefix_tokens :]
            side = round(patches.shape[1] ** 0.5)
            return patches.transpose(-2, -1).reshape(len(patches), -1, side, side)
        return features if self.layout == "maps" else features.permute(0, 3, 1, 2)

    def tokens(self, features: Tensor) -> Tensor:
        """Lay the backbone's features out as tokens (N, L, C), leading class tokens included."""
        return features if self.layout == "tokens" else self.maps(features).flatten(2).transpose(-2, -1)

    def vectors(self, images: Tensor) -> Tensor:
        """Return one vector per image: what the classifier, or a fusion with metadata, works from.

        With head `places` it is one per place of the feature map, (N, L, C), class tokens included.
        """
        features: Tensor = self.backbone.forward_features(images)
        vectors: Tensor
        if self.head == "timm":
            vectors = self.backbone.forward_head(features, pre_logits=True)
        else:
            tokens = self.head in (*TOKEN_HEADS, "places")
            vectors = self.norm(self.pool(self.tokens(features) if tokens else self.maps(features)))
        return vectors

    def hold(self) -> None:
        """Take everything below the vectors out of training."""
        for part in (self.backbone, self.pool, self.norm):
            part.requires_grad_(False)


def pooling(head: str, prefix_tokens: int, width: int, kernels: tuple[int, ...]) -> nn.Module:
    """Return the pooling layer of a head; timm's own pooling is part of the backbone."""
    if head == "multi_scale_gem":
        return MultiScaleGeM(kernels)
    if head == "token_average":
        return TokenAverage(prefix_tokens)
    if head == "self_attention":
        return AttendedAverage(width, prefix_tokens)
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
