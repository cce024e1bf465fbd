"""Every published system: where it comes from, what its authors state, the recipe that runs it, its form for a CPU.

The figures are the authors', on their data and by their protocol: targets there, claims to test by a sound one.
How a system is split and trained is in `protocols.py` and `network.py`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from data.errors import RecipeError
from image_models.recipe import ImageModelRecipe
from pipeline.recipe import load_recipe

Source = Literal["S1", "S2", "S3", "S4", "S5", "own"]

SOURCES: Mapping[str, str] = {
    "S1": "FusionNetX: image networks out of fold, boosters on their scores and the metadata",
    "S2": "metastasis hybrid: ResNet, EfficientNet-B0 and a clinical vector",
    "S3": "frozen EfficientNet-B0 with a metadata network",
    "S4": "site-aware melanoma classifiers on EfficientNet-B4",
    "S5": "image-clinical fusion study on DermiResNet",
    "own": "not published: what pretraining is worth, and backbones named as future work",
}


@dataclass(frozen=True)
class Fast:
    """A system's form for a CPU: the network stays, what it is shown shrinks."""

    image_size: int = 64
    epochs: int = 3
    rows: int = 3_000
    """Training images at most, drawn with the classes in proportion; 0 takes all."""
    learning_rate: float = 1e-3
    """A few hundred steps from random weights need larger ones than twenty epochs from ImageNet's."""


@dataclass(frozen=True)
class System:
    """One published system, or one baseline of it."""

    name: str
    source: Source
    title: str
    recipe: str
    """Shipped recipe that holds its full settings."""
    parameters: int
    """Of its networks at full size, for seven classes and HAM10000's age, sex and site; tests count them."""
    model: str = ""
    """Image model of that recipe; none for the two stages together."""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Data set -> score name -> the authors' figure; a data set without one they name no figure of."""
    fast: Fast = Fast()
    roster: bool = True
    """Whether a comparison runs it when no system is named."""
    balance: int = 0
    """Images per class that its protocol makes by replication and random sampling; 0 leaves the classes as they are."""

    @property
    def two_stages(self) -> bool:
        """Whether boosters stand behind the networks."""
        return not self.model

    @property
    def network(self) -> ImageModelRecipe:
        """Its full network recipe."""
        models = load_recipe(self.recipe).image_models
        return next(model for model in models if model.name == self.model)


HAM = "HAM10000, 7 classes"
PH2 = "PH2"
SITES = "about 3,300 images, melanoma or not"
HYBRID = "dermoscopy paired with TCGA-SKCM"
DATA_SETS: Mapping[str, str] = {"ham10000": HAM, "ph2": PH2, "ph2_binary": PH2, "paired": HYBRID}
"""By reader: what a figure must be published on to stand beside one of ours."""
ON_VECTORS = Fast(image_size=64, epochs=40, rows=0)
FROZEN_224 = Fast(image_size=112, epochs=40, rows=0)
B4 = Fast(image_size=48, epochs=2, rows=600)
LARGE = Fast(image_size=64, epochs=2, rows=1_500)
FUSION = Fast(image_size=48, epochs=3, rows=0)


def _fusion(model: str, title: str, parameters: int, accuracy: float) -> System:
    return System(
        f"s5_{model}", "S5", title, "s5_fusions", parameters, model, {HAM: {"accuracy": accuracy}},
        ON_VECTORS if model == "clinical" else FUSION, balance=6_000,
    )  # fmt: skip


def _sites(model: str, title: str, parameters: int, figures: Mapping[str, float]) -> System:
    return System(f"s4_{model}", "S4", title, "s4_sites", parameters, model, {SITES: figures}, B4)


def _frozen(model: str, title: str, parameters: int, fast: Fast, figures: Mapping[str, float] | None = None) -> System:
    return System(f"s3_{model}", "S3", title, "s3_frozen", parameters, model, {HAM: figures or {}}, fast)


def _hybrid(model: str, title: str, parameters: int, fast: Fast, figures: Mapping[str, float] | None = None) -> System:
    return System(f"s2_{model}", "S2", title, "s2_hybrid", parameters, model, {HYBRID: figures or {}}, fast)


def _own(model: str, title: str, parameters: int, fast: Fast, roster: bool = True) -> System:
    return System(f"own_{model}", "own", title, "pretraining", parameters, model, fast=fast, roster=roster)


SYSTEMS: tuple[System, ...] = (
    System("s1_fusionnetx", "S1", "two stages: networks out of fold, boosters on scores and metadata", "s1_ham10000",
           42_252_265, "", {HAM: {"accuracy": 0.952, "auc": 0.995, "average_precision": 0.885},
                PH2: {"accuracy": 0.950, "auc": 0.9844, "average_precision": 0.9663}}),
    _hybrid("hybrid", "ResNet (512) + EfficientNet-B0 (1280) + metadata", 15_662_979, LARGE,
            {"auc": 0.9905, "average_precision": 0.97, "accuracy": 0.96, "precision": 0.96, "recall": 0.96,
             "f1": 0.96}),
    _hybrid("resnet_only", "ResNet alone", 11_310_151, Fast()),
    _hybrid("efficientnet_only", "EfficientNet-B0 alone", 4_337_795, LARGE),
    _hybrid("metadata_only", "metadata alone", 20_167, ON_VECTORS),
    _frozen("frozen_b0", "frozen EfficientNet-B0 + metadata MLP", 4_179_811, ON_VECTORS, {"accuracy": 0.7239}),
    _frozen("custom_cnn", "custom CNN", 422_695, Fast()),
    _frozen("densenet121_frozen", "DenseNet121, frozen", 7_085_959, ON_VECTORS),
    _frozen("densenet121", "DenseNet121, fine-tuned", 7_085_959, LARGE),
    _frozen("efficientnet_b1_frozen", "EfficientNet-B1, frozen", 6_678_055, ON_VECTORS),
    _frozen("efficientnet_b1", "EfficientNet-B1, fine-tuned", 6_678_055, LARGE),
    _sites("control", "EfficientNet-B4 at 1,024 px", 17_663_823, {"auc": 0.923, "recall": 0.812}),
    _sites("two_resolutions", "EfficientNet-B4 at 512 and 1,024 px", 17_778_511, {"auc": 0.931, "recall": 0.828}),
    _sites("site_branches", "EfficientNet-B4 with a branch per body site", 19_223_352, {"auc": 0.945, "recall": 0.847}),
    _sites("self_attention", "self-attention over the lesion (planned by the authors)", 19_504_719, {}),
    _sites("cross_attention", "cross-attention of image and metadata (planned by the authors)", 17_818_383, {}),
    _fusion("clinical", "clinical branch alone", 69_255, 0.77),
    _fusion("image", "DermiResNet alone", 8_459_211, 0.92),
    _fusion("concatenation", "concatenation", 8_527_435, 0.965),
    _fusion("weighted_concatenation", "weighted concatenation", 8_527_437, 0.9715),
    _fusion("hadamard", "Hadamard product", 8_659_019, 0.9885),
    _fusion("tensor", "tensor (outer product)", 8_593_163, 0.9652),
    _fusion("bilinear", "bilinear", 9_560_011, 0.9876),
    _fusion("gated", "gated", 8_790_347, 0.93),
    _fusion("self_attention", "self-attention", 8_955_211, 0.9270),
    _fusion("cross_attention", "cross-attention", 8_692_395, 0.9886),
    _own("mobilenetv2", "MobileNetV2, fine-tuned from ImageNet", 2_306_311, Fast(64, 3, 3_000, 5e-4)),
    _own("mobilenetv2_scratch", "MobileNetV2 from random weights", 2_306_311, Fast(64, 3, 3_000, 2e-3)),
    _own("mobilenetv2_frozen", "MobileNetV2, frozen at ImageNet's weights", 2_306_311, FROZEN_224),
    _own("mobilenetv2_metadata", "MobileNetV2, fine-tuned, + metadata", 2_311_655, Fast(64, 3, 3_000, 5e-4)),
    _own("mobilenetv2_frozen_metadata", "MobileNetV2, frozen, + metadata", 2_311_655, FROZEN_224),
    _own("beit", "BEiT base (named as future work by S1)", 85_811_655, Fast(64, 1, 500, 1e-4), roster=False),
    _own("nextvit", "Next-ViT small, the nearest to MedViT (future work of S1)", 30_804_423, Fast(64, 1, 500, 1e-4),
         roster=False),
)  # fmt: skip


def chosen_systems(names: str | None) -> tuple[System, ...]:
    """The systems that a comma-separated list names (`s5` for all of a source); without one the roster."""
    if names is None:
        return tuple(system for system in SYSTEMS if system.roster)
    chosen: list[System] = []
    for name in (part.strip() for part in names.split(",") if part.strip()):
        found = [system for system in SYSTEMS if name in (system.name, system.source.lower())]
        if not found:
            near = difflib.get_close_matches(name, [system.name for system in SYSTEMS], n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise RecipeError(f"no system is called {name!r}{hint}; `fusionnetx systems` lists them")
        chosen += [system for system in found if system not in chosen]
    if not chosen:
        raise RecipeError("--systems names no system; `fusionnetx systems` lists them")
    return tuple(chosen)
