"""The image models' part of a recipe: what to build, how to augment, how to train.

Plain frozen dataclasses, so that a machine without pydantic can train; `pipeline.recipe` validates
them strictly (unknown key, wrong type) and `__post_init__` refuses values that make no sense.
The defaults are Table 1 of the FusionNetX paper.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from image_models.networks.rules import network_rules
from image_models.training.rules import training_rules

STRICT = {"extra": "forbid", "strict": True}


def require(condition: bool, key: str, value: object, rule: str) -> None:
    """Refuse a value, naming the key."""
    if not condition:
        raise ValueError(f"{key} = {value!r}: {rule}")


@dataclass(frozen=True)
class AugmentRecipe:
    """Random changes to training images, applied to whole batches on the device."""

    __pydantic_config__: ClassVar = STRICT

    crop_scale: tuple[float, float] = (0.7, 1.0)
    """Share of the image's area that the random crop keeps."""
    crop_ratio: tuple[float, float] = (0.85, 1.18)
    """Aspect ratio of the crop."""
    rotation_degrees: float = 180.0
    """Rotation drawn from [-x, x]."""
    flip: bool = True
    """Mirror left-right and top-bottom, each with probability one half."""
    brightness: float = 0.15
    contrast: float = 0.15
    saturation: float = 0.15
    hue: float = 0.02
    """Hue rotation as a share of the colour circle."""
    blur: float = 0.0
    """Probability of a slight Gaussian blur."""
    cutout: float = 0.0
    """Probability of one square hole."""
    mixup: float = 0.0
    """Alpha of the beta distribution; 0 turns it off."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        low, high = self.crop_scale
        require(0 < low <= high <= 1, "crop_scale", self.crop_scale, "two shares of the area, 0 < low <= high <= 1")
        low, high = self.crop_ratio
        require(0 < low <= high, "crop_ratio", self.crop_ratio, "two aspect ratios, 0 < low <= high")
        require(0 <= self.rotation_degrees <= 180, "rotation_degrees", self.rotation_degrees, "between 0 and 180")
        for key in ("brightness", "contrast", "saturation"):
            require(0 <= getattr(self, key) < 1, key, getattr(self, key), "at least 0 and less than 1")
        require(0 <= self.hue <= 0.5, "hue", self.hue, "between 0 and 0.5")
        for key in ("blur", "cutout"):
            require(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a probability between 0 and 1")
        require(self.mixup >= 0, "mixup", self.mixup, "at least 0")


Fusion = Literal[
    "concatenation",
    "weighted_concatenation",
    "hadamard",
    "tensor",
    "bilinear",
    "gated",
    "self_attention",
    "cross_attention",
    "token_cross_attention",
    "site_branches",
]


@dataclass(frozen=True)
class MetadataRecipe:
    """What a network is told beside the image, and the branch that takes it in."""

    __pydantic_config__: ClassVar = STRICT

    columns: tuple[str, ...] = ()
    """Columns of the lesion table; none means that the network sees images alone."""
    widths: tuple[int, ...] = (128, 256)
    """Fully connected layers of the branch, each followed by a ReLU; the last is the width that is fused."""
    missing_flags: bool = True
    """One more input per numeric column with gaps: 1 where the number is missing."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        require(len(set(self.columns)) == len(self.columns), "columns", self.columns, "a column is named twice")
        require(bool(self.widths) and min(self.widths) >= 1, "widths", self.widths, "at least one width of at least 1")


@dataclass(frozen=True)
class ImageModelRecipe:
    """One image model: its network, its training set, its schedule."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    """Name of the model's out-of-fold column and folder."""
    backbone: str
    """Any timm model, or a network of `image_models.networks`; `none` leaves the image out (metadata alone)."""
    head: Literal["auto", "multi_scale_gem", "average", "token_average", "self_attention", "timm"] = "auto"
    """`auto`: multi-scale GeM for ConvNeXt, token average for transformers, layers behind the pooling where a network
    has some of its own (`timm`), average pooling otherwise. `self_attention`: places of the lesion attend to each other
    before they are averaged."""
    second_backbone: str = ""
    """Another network on the same image, its vector put beside the first's; it may be the first's name again. `same`
    shows the first network itself, with the same weights, the image at its second size too."""
    second_image_size: int = 0
    """Side in pixels that the second network sees; 0 for the first's. Images are prepared once, at the larger size."""
    metadata: MetadataRecipe = field(default_factory=MetadataRecipe)
    fusion: Fusion = "concatenation"
    """How the image's vector and the metadata's become one; without metadata columns it is not used."""
    site_column: str = ""
    """The categorical column of `site_branches`: every value seen in training has a branch of its own."""
    frozen: bool = False
    """Train the head alone on image vectors that are computed once and kept; there is no augmentation then."""
    classifier: Literal["plain", "batch_norm"] = "plain"
    """What follows the last vector: a layer, GELU, dropout and the output; or with batch norm and a ReLU."""
    hidden: int = 64
    """Width of the fully connected layer before the output; 0 leaves it out."""
    dropout: float = 0.3
    drop_path: float = 0.0
    pretrained: str = "timm"
    """`timm` (ImageNet weights, downloaded or from the weights folder), `none`, or a path to a safetensors file."""
    freeze_batch_norm: bool = False
    """Keep the pretrained statistics of batch normalisation: for folded batch norms, and for tiny batches."""
    image_size: int = 224
    """Side in pixels that the network sees; the pack may hold another size."""

    labels: Literal["target", "relabelled", "relabelled_then_target"] = "target"
    second_fit_epochs: int = 5
    """Epochs of the second fit of `relabelled_then_target`."""

    epochs: int = 30
    batch_size: int = 32
    accumulate: int = 1
    """Batches per optimiser step."""
    learning_rate: float = 1e-4
    minimum_learning_rate: float = 1e-6
    warmup_ratio: float = 0.05
    """Share of all optimiser steps spent on linear warm-up."""
    optimiser: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    """`plateau` multiplies the rate by `plateau_factor` when the inner score stands still, down to the minimum rate;
    needs `select = "best"`."""
    plateau_factor: float = 0.1
    plateau_patience: int = 2
    """Epochs without a better inner score that are waited through; one more lowers the rate, as PyTorch counts."""
    cosine_steps: int = 500
    """T_max of the cosine in optimiser steps; 0 stretches it over the whole fit."""
    after_cosine: Literal["hold", "cycle"] = "hold"
    """After T_max: stay at the minimum, or go up again as PyTorch's closed form does."""
    weight_decay: float = 1e-3
    layer_decay: float = 1.0
    """Learning-rate factor per layer from the head down; 1 treats all layers alike."""
    clip_norm: float = 1.0
    """Largest gradient norm; 0 turns clipping off."""
    ema_decay: float = 0.0
    """Decay of the averaged weights that predict; 0 turns averaging off."""
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = 2.0
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    negatives_per_positive: float = 1.0
    """Negatives drawn anew each epoch per positive by `sampling = "ratio"`; 0, or more than two classes, takes every
    training row once."""
    sampling: Literal["ratio", "all", "weighted"] = "ratio"
    """`ratio` as above; `all` takes every training row once; `weighted` draws as many rows with replacement, every
    class equally often."""
    positive_repeats: int = 1
    """How often each positive is shown per epoch."""

    select: Literal["last", "best"] = "last"
    """`best` keeps the epoch that scores best on an inner split of the training patients, never on held-out ones."""
    stop_after: int = 0
    """Epochs without a better inner score after which a fit with `select = "best"` ends; 0 runs all of them."""
    inner_share: float = 0.15
    """Share of the training patients in the inner split of `select = "best"`."""
    test_time: Literal["none", "flips", "dihedral"] = "none"
    """Average predictions over 1, 4 or 8 symmetries of the image."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    channels_last: bool = True
    resident: Literal["auto", "device", "host"] = "auto"
    """Where images live while training; `auto` keeps those of a fit on a GPU if half its free memory holds them."""
    checkpoint_seconds: float = 60.0
    """Longest time between two saved states."""
    predict_batch_size: int = 256
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        require(self.name.replace("_", "").replace("-", "").isalnum(), "name", self.name, "letters, digits, _ and -")
        for key in ("image_size", "epochs", "batch_size", "accumulate", "positive_repeats", "predict_batch_size"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        for key in ("hidden", "cosine_steps", "second_fit_epochs"):
            require(getattr(self, key) >= 0, key, getattr(self, key), "at least 0")
        for key in ("dropout", "drop_path", "warmup_ratio", "ema_decay"):
            require(0 <= getattr(self, key) < 1, key, getattr(self, key), "at least 0 and less than 1")
        for key in ("minimum_learning_rate", "weight_decay", "clip_norm", "negatives_per_positive", "focal_gamma"):
            require(getattr(self, key) >= 0, key, getattr(self, key), "at least 0")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(
            self.minimum_learning_rate <= self.learning_rate,
            "minimum_learning_rate",
            self.minimum_learning_rate,
            f"at most learning_rate ({self.learning_rate})",
        )
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "above 0 and at most 1")
        for kept, key, rule in (*network_rules(self), *training_rules(self)):
            require(kept, key, getattr(self, key), rule)
        require(0 < self.inner_share < 1, "inner_share", self.inner_share, "between 0 and 1")
        require(self.checkpoint_seconds > 0, "checkpoint_seconds", self.checkpoint_seconds, "above 0")

    @property
    def input_size(self) -> int:
        """Side in pixels of the images that the whole network takes: the larger of its branches' sizes."""
        return max(self.image_size, self.second_image_size)

    @property
    def trains_on_vectors(self) -> bool:
        """Whether training takes one vector per lesion in place of its image: a frozen network's, or an empty one."""
        return self.frozen or self.backbone == "none"

    def image_branches(self) -> tuple["ImageModelRecipe", ...]:
        """One recipe per view of the image, each with a single `backbone`: none, one or two."""
        if self.backbone == "none":
            return ()
        first = replace(self, second_backbone="", second_image_size=0)
        if not self.second_backbone:
            return (first,)
        name = self.backbone if self.second_backbone == "same" else self.second_backbone
        return first, replace(first, backbone=name, image_size=self.second_image_size or self.image_size)
