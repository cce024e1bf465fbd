"""How large a synthetic cohort like ISIC 2024 is; making one is left to `data.synthetic.isic2024.cohort`."""

import math
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from data.strict import Strict


class SyntheticRecipe(Strict):
    """How large a synthetic cohort is. Counts left out follow from the number of lesions (see `counts`)."""

    lesions: int = Field(default=4000, ge=20, le=20_000_000)
    """At most fifty times as many as were published: more take days to draw and fill a disk."""
    test_lesions: int = Field(default=3000, ge=10, le=20_000_000)
    patients: int | None = Field(default=None, ge=2)
    test_patients: int | None = Field(default=None, ge=2)
    malignant: int | None = Field(default=None, ge=1)
    test_malignant: int | None = Field(default=None, ge=2)
    biopsied: int | None = Field(default=None, ge=0)
    """Benign training lesions that were taken out, the larger positive class of the curated labels."""
    seed: int = Field(default=2024, ge=0, lt=2**63)
    images: bool = True
    """Without images only the tables are written."""
    institution_shift: float = Field(default=0.0, ge=0.0, le=10.0)
    """How far the devices and patients of the institutions are apart, in standard deviations; 0: not at all, 10: they
    have nothing in common."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for part, size in (("", self.counts), ("test_", self.test_counts)):
            if size.patients > size.lesions:
                raise ValueError(f"{part}patients = {size.patients} but only {size.lesions} {part}lesions")
            if size.malignant + size.biopsied >= size.lesions:
                raise ValueError(
                    f"{part}malignant = {size.malignant} and {size.biopsied} biopsied leave no other of "
                    f"{size.lesions} {part}lesions"
                )
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the files; the shift only where there is one, so that cohorts without keep their names."""
        return self.model_dump(mode="json", exclude=set() if self.institution_shift else {"institution_shift"})

    @property
    def counts(self) -> "Counts":
        """Sizes of the training part."""
        return _counts(self.lesions, self.patients, self.malignant, self.biopsied)

    @property
    def test_counts(self) -> "Counts":
        """Sizes of the test part."""
        return _counts(self.test_lesions, self.test_patients, self.test_malignant, None)


@dataclass(frozen=True)
class Counts:
    """Sizes of one part of a cohort."""

    lesions: int
    patients: int
    malignant: int
    biopsied: int


def _counts(lesions: int, patients: int | None, malignant: int | None, biopsied: int | None) -> Counts:
    """Fill in what was left out: powers of the size through a small, enriched cohort and the published one.

    4,000 lesions: 160 patients, 140 malignant, 60 biopsied. 401,059 lesions: 1,042, 393 and 675, as published.
    Below 4,000 the shares of malignant and biopsied lesions stay what they are there.
    """

    def power(small: int, published: int) -> float:
        exponent = math.log(published / small) / math.log(401_059 / 4_000)
        return float(small * (lesions / 4_000) ** exponent)

    scale = lesions / 4_000
    return Counts(
        lesions=lesions,
        patients=patients if patients is not None else min(round(power(160, 1042)), lesions // 4),
        malignant=malignant if malignant is not None else max(2, round(min(power(140, 393), 140 * scale))),
        biopsied=biopsied if biopsied is not None else round(min(power(60, 675), 60 * scale)),
    )
