"""The recipe of the feature stage: which families, with which parameters, and how columns become numbers.

Names are checked here, before any data is read; whether the data have the columns is checked by `features.table`.
"""

from typing import Literal

from pydantic import Field, field_validator

from data.strict import Strict
from data.tables.near import did_you_mean
from features.columns import FORBIDDEN, STRONG
from features.families.family import FeatureSet
from features.families.registry import FAMILIES


class FeatureRecipe(Strict):
    """What the feature stage makes of the metadata and the image scores."""

    set: FeatureSet = "advanced"
    """`simple`: published columns, imputed and target-encoded; `compact`: published columns, numbers of one lesion,
    z-scores within the patient, counts; `advanced`: every family that looks at one patient."""
    families: tuple[str, ...] = ()
    """Exactly these families instead of those of the set; empty: those of the set."""
    without: tuple[str, ...] = ()
    """Families left out."""
    extra_columns: tuple[str, ...] = ()
    """Further columns of the data to use as published."""
    unused_columns: tuple[str, ...] = ()
    """Published columns that no family may use."""
    compared_columns: tuple[str, ...] = ()
    """Published numbers compared by place, rank, robust z and outlying; empty: every number but the age."""
    epsilon: float = Field(default=1e-5, gt=0, le=1)
    """Added to every spread that divides, so that a constant column gives 0; more would hide every spread."""
    outlier_z: float = Field(default=3.0, gt=0, le=1000)
    """A value whose |z| is above this counts as outlying; no value of a patient reaches 1000."""
    outlier_columns: tuple[str, ...] = STRONG
    """Published numbers that span the space of the local outlier factor and the neighbour differences."""
    outlier_neighbours: int = Field(default=20, ge=1, le=1000)
    """Neighbours of the local outlier factor; their distances are kept, 8 bytes for each lesion and neighbour."""
    skin_neighbours: int = Field(default=5, ge=1, le=1000)
    """Nearest lesions on the skin that a lesion is compared with; no patient has a thousand."""
    unexpected: bool | None = None
    """Add how far each number lies from what all others let expect, and one distance (`features.unexpected`; 3 to 256
    numbers); default: only in the compact set."""
    impute: Literal["median", "none"] = "median"
    """Missing numbers become the median of the training rows, or stay missing."""
    categories: Literal["one_hot", "native", "ordinal", "none"] | None = None
    """How categories enter the matrix; default: `one_hot`; in the simple set `none`, target encoding stands in."""
    target_encoding: bool | None = None
    """Add the smoothed share of each class per category; default: only in the simple set."""
    target_smoothing: float = Field(default=500.0, gt=0, le=1e9)
    """Weight of the overall share in a target encoding, in lesions; a thousand million leave no category a say."""
    target_folds: int = Field(default=5, ge=2, le=100)
    """Inner folds by which training rows get encodings that their own labels did not enter; of a hundred, each leaves
    out a hundredth."""
    scale: Literal["none", "standard", "minmax"] = "none"
    """Scaling of numbers with figures of the training rows; boosters need none."""

    @field_validator("families", "without")
    @classmethod
    def _families_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in FAMILIES:
                known = ", ".join(FAMILIES)
                raise ValueError(f"unknown feature family {name!r}{did_you_mean(name, FAMILIES, 0.5)}; known: {known}")
        return names

    @field_validator("extra_columns", "compared_columns", "outlier_columns")
    @classmethod
    def _columns_are_allowed(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        leaking = [name for name in names if name in FORBIDDEN]
        if leaking:
            raise ValueError(
                f"{', '.join(leaking)}: known only where the diagnosis is known, so never a feature; remove the name"
            )
        return names

    @property
    def chosen(self) -> tuple[str, ...]:
        """Families to make, in their fixed order."""
        wanted = self.families or tuple(name for name, family in FAMILIES.items() if self.set in family.sets)
        return tuple(name for name in FAMILIES if name in wanted and name not in self.without)

    @property
    def category_encoding(self) -> Literal["one_hot", "native", "ordinal", "none"]:
        """`categories` with the default of the set filled in."""
        if self.categories is not None:
            return self.categories
        return "none" if self.set == "simple" else "one_hot"

    @property
    def adds_unexpected(self) -> bool:
        """`unexpected` with the default of the set filled in."""
        return self.set == "compact" if self.unexpected is None else self.unexpected

    @property
    def encodes_target(self) -> bool:
        """`target_encoding` with the default of the set filled in."""
        return self.set == "simple" if self.target_encoding is None else self.target_encoding
