"""What the image models rest their answer about one lesion on, averaged over the fold models that did not see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images.decode import decode
from data.images.joined import SeveralPictures
from data.images.shards import Beside
from data.images.sources import ImageSource
from image_models.explain import MetadataRelevance, attention_maps, heat_maps, metadata_relevance, scores, to_unit
from image_models.lesions import Lesions
from image_models.predict import load_model
from image_models.recipe import ImageModelRecipe
from pipeline.explain.population import Population
from pipeline.steps.fold_model import WEIGHTS
from pipeline.steps.lesions import unlabelled_lesions
from pipeline.steps.metadata import with_stored_metadata

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

INEXACT = 0.05
"""Share of the score's move that the attributions may miss before the sheet says so: integrated gradients of networks
with kinks converge slowly, and a twentieth would not reorder the bars."""


@dataclass(frozen=True)
class NetworkExplanation:
    """One image model and one lesion."""

    name: str
    folds: tuple[int, ...]
    score: float
    """Mean log-odds (of several classes: logit less the mean logit) over the fold models."""
    heat: Floats | None
    """(side, side), the largest value 1, or all 0; None for a network without images."""
    places: tuple[tuple[int, int], ...]
    seen: Pixels | None
    """The image that the map is of."""
    attention: Floats | None
    """As `heat`, by attention rollout; None for networks that are no transformers."""
    relevance: MetadataRelevance | None
    """One row."""

    @property
    def inexact(self) -> bool:
        """Whether the metadata's parts miss more of the score than they may."""
        if self.relevance is None:
            return False
        size = max(abs(float(self.relevance.moved[0])), float(np.abs(self.relevance.attributions[0]).max(initial=0.0)))
        return abs(float(self.relevance.error[0])) > INEXACT * size


def chosen_models(models: Sequence[ImageModelRecipe], names: Sequence[str]) -> list[ImageModelRecipe]:
    """The image models to explain: all, or those named."""
    unknown = sorted(set(names) - {model.name for model in models})
    if unknown:
        known = ", ".join(model.name for model in models) or "none"
        raise DataError(f"the run has no image model {unknown[0]!r}; it has {known}")
    return [model for model in models if not names or model.name in names]


def picture(population: Population, row: int) -> Pixels:
    """The lesion's image, decoded as the networks get it; DataError with the reason when there is none."""
    if population.images is None:
        raise DataError("the data hold no images")
    return decoded(population, row, population.images)


def decoded(population: Population, row: int, source: ImageSource) -> Pixels:
    """An image of one lesion at the size of the run's images."""
    return decode(source.read(str(population.ids[row])), population.plan.run.recipe.data.image_size)


def explain_networks(
    population: Population, row: int, models: Sequence[ImageModelRecipe], towards: int, image: Pixels | None
) -> list[NetworkExplanation]:
    """Explain one lesion's score of the class `towards` by every model."""
    lesions = one_lesion(population, row, image)
    return [explain_network(population, row, model, towards, lesions) for model in models]


def explain_network(
    population: Population, row: int, model: ImageModelRecipe, towards: int, lesions: Lesions
) -> NetworkExplanation:
    """Ask each fold model that did not see the lesion, and average."""
    folds = population.folds_of(row)
    only = np.zeros(1, dtype=np.int64)
    found, maps, relevances, rolled = [], [], [], []
    places: tuple[tuple[int, int], ...] = ()
    for fold in folds:
        folder = population.plan["fold model", model.name, fold].folder
        network = load_model(folder / WEIGHTS, model, lesions.classes)
        shown = with_stored_metadata(model, folder, population.cohort.table[[row]], lesions)
        found.append(scores(network, model, shown, only, towards)[0])
        if model.backbone != "none":
            heat = heat_maps(network, model, shown, only, towards)
            maps.append(heat.maps[0])
            places = heat.places
            attention = attention_maps(network, model, shown, only)
            rolled += [] if attention is None else [attention[0]]
        if network.metadata_shape is not None:
            relevances.append(metadata_relevance(network, model, shown, only, towards))
    return NetworkExplanation(
        name=model.name,
        folds=folds,
        score=float(np.mean(found)),
        heat=to_unit(np.mean(maps, axis=0)[None])[0] if maps else None,
        places=places,
        seen=first_seen(lesions, model) if maps else None,
        attention=to_unit(np.mean(rolled, axis=0)[None])[0] if rolled else None,
        relevance=mean_relevance(relevances) if relevances else None,
    )


def mean_relevance(parts: Sequence[MetadataRelevance]) -> MetadataRelevance:
    """The mean over fold models, which have the same source columns."""
    return MetadataRelevance(
        parts[0].columns,
        np.mean([part.attributions for part in parts], axis=0),
        np.mean([part.moved for part in parts], axis=0),
    )


def one_lesion(population: Population, row: int, image: Pixels | None) -> Lesions:
    """One lesion as the arrays that networks take, without reading anyone else's image."""
    lesion = unlabelled_lesions(replace(population.cohort, table=population.cohort.table[[row]]), None)
    if image is None:
        return lesion
    if not isinstance(population.images, SeveralPictures):
        return replace(lesion, images=image[None])
    pictures = {name: decoded(population, row, one)[None] for name, one in population.images.pictures.items()}
    return replace(lesion, images=Beside(pictures))


def first_seen(lesions: Lesions, model: ImageModelRecipe) -> Pixels:
    """The picture of one lesion on which a network's map is drawn."""
    seen = lesions.images.of(model.pictures[:1]) if isinstance(lesions.images, Beside) else lesions.images
    first: Pixels = np.asarray(seen)[0]
    return first
