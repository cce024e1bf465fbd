"""Which columns each data set can tell a network, and which of them a published protocol told it against all sense."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.readers.pairing import PREFIX
from image_models.recipe import ImageModelRecipe


@dataclass(frozen=True)
class Told:
    """Columns of one data set."""

    columns: tuple[str, ...]
    """Known before the diagnosis."""
    site: str = ""
    """The place on the body."""
    after_diagnosis: tuple[str, ...] = ()
    """Known only with the diagnosis, and yet an input of a published system."""


HAM10000 = Told(("age", "sex", "localization"), "localization", ("dx_type",))
CRITERIA = ("asymmetry", "pigment_network", "dots_globules", "streaks", "regression_areas", "blue_whitish_veil")
PATIENTS = tuple(
    f"{PREFIX}{name}"
    for name in (
        "AGE", "SEX", "PATH_T_STAGE", "BRESLOW_DEPTH", "CLARK_LEVEL", "ULCERATION", "MITOTIC_RATE",
        "ANEUPLOIDY_SCORE", "TMB_NONSYNONYMOUS",
    )
)  # fmt: skip

TOLD: Mapping[str, Told] = {
    "ham10000": HAM10000,
    "ham10000_binary": HAM10000,
    "isic2024": Told(("age_approx", "sex", "anatom_site_general"), "anatom_site_general"),
    "ph2": Told(CRITERIA),
    "ph2_binary": Told(CRITERIA),
    "paired": Told(PATIENTS),
}
"""By reader; one without an entry has no columns to tell, and systems that need some are left out."""


def unable(model: ImageModelRecipe, told: Told) -> str | None:
    """Why a network cannot be told this data set, or None."""
    if model.metadata.columns and not told.columns:
        return "the data set has no metadata that a network is told"
    if model.site_column and not told.site:
        return "the data set does not say where on the body a lesion is"
    return None
