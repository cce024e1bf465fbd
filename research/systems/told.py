"""Whether a network can be told what it needs to know of this data set beside the image."""

from data.readers import READERS
from data.readers.reading import ToldColumns
from image_models.recipe import ImageModelRecipe


def told_columns(reader: str) -> ToldColumns:
    """What the data set of a reader can tell; systems that need more are left out."""
    return READERS[reader].told_columns


def unable(model: ImageModelRecipe, told: ToldColumns) -> str | None:
    """Why a network cannot be told this data set, or None."""
    if model.metadata.columns and not told.columns:
        return "the data set has no metadata that a network is told"
    if model.site_column and not told.site:
        return "the data set does not say where on the body a lesion is"
    return None
