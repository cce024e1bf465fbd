"""The network of a system as it is trained here: as published, on smaller images, or small enough for a CPU."""

import dataclasses
from pathlib import Path

from image_models.recipe import ImageModelRecipe
from research.systems.protocols import ProtocolName
from research.systems.registry import System


def full_form(system: System, site: str, columns: tuple[str, ...], protocol: ProtocolName) -> ImageModelRecipe:
    """The network of the system's recipe, with the columns that this data set and protocol allow."""
    model = dataclasses.replace(system.network, name=system.name)
    if system.balance:  # the protocol has balanced the rows already
        model = dataclasses.replace(model, sampling="all")
    if protocol == "published" and system.source == "S5":
        model = dataclasses.replace(model, select="last", stop_after=0)
    if not model.metadata.columns:
        return model
    return dataclasses.replace(
        model,
        metadata=dataclasses.replace(model.metadata, columns=columns),
        site_column=site if model.site_column else "",
    )


def at_most(model: ImageModelRecipe, largest: int) -> ImageModelRecipe:
    """The network on images no larger than `largest`; two sizes keep their proportion."""
    if not largest or model.input_size <= largest:
        return model
    share = largest / model.input_size
    second = model.second_image_size
    return dataclasses.replace(
        model,
        image_size=round(model.image_size * share),
        second_image_size=round(second * share) if second else 0,
    )


def fast_form(model: ImageModelRecipe, system: System, weights_dir: Path) -> ImageModelRecipe:
    """The same network on smaller images for a few epochs, from the weights that are there, else from random ones."""
    from image_models.networks.weights import local_path

    fast, size = system.fast, system.fast.image_size
    second = 0
    if model.second_image_size:
        # The second size keeps its proportion to the first.
        second = size
        size = size * model.image_size // model.second_image_size
    there = model.pretrained != "timm" or local_path(model, weights_dir).is_file()
    return dataclasses.replace(
        model,
        image_size=size,
        second_image_size=second,
        epochs=fast.epochs,
        batch_size=min(model.batch_size, 64) if model.batch_size >= 32 else 16,
        accumulate=1,
        learning_rate=fast.learning_rate,
        minimum_learning_rate=1e-6,
        warmup_ratio=0.05,
        schedule="cosine",
        cosine_steps=0,
        select="last",
        select_by="score",
        stop_after=0,
        pretrained=model.pretrained if there else "none",
        precision="fp32",  # measuring which format is fastest takes longer than so short a fit gains
    )


def seeing_alone(model: ImageModelRecipe) -> ImageModelRecipe:
    """The network as stage one knows it: what looks at images, without the columns that a protocol may tell it."""
    without = dataclasses.replace(model.metadata, columns=())
    return dataclasses.replace(model, metadata=without, site_column="", fusion="concatenation")
