"""Institutions that differ: each with a device that measures in its own way and patients of its own kind.

A device adds an offset to every measured column and turns some of them round, so that what looks malignant at one
institution looks benign at another; an institution's patients differ in age, skin and how likely theirs are malignant.
Everything is drawn from the cohort's seed in a stream of its own, in proportion to one number.
"""

from dataclasses import dataclass, replace

import numpy as np

from data.synthetic.isic2024.facts import Floats, facts, latent_spread
from data.synthetic.isic2024.patients import Patients

YEARS_APART, SUSCEPTIBILITY_APART, TINT_APART = 4.0, 0.4, 2.0
"""Standard deviations between institutions at a shift of 1: of age, of the log weight of malignancy, of the tint."""


@dataclass(frozen=True)
class Devices:
    """How the device of each institution measures, (institutions, measured columns) in normal scores."""

    gain: Floats
    offset: Floats

    def measured(self, score: Floats, column: int, patients: Patients) -> Floats:
        """The normal scores of one column as the devices of the lesions' institutions see them."""
        place = patients.attribution[patients.of_lesion]
        return np.asarray(self.gain[place, column] * score + self.offset[place, column], dtype=np.float64)


def shifted(patients: Patients, shift: float, seed: int) -> tuple[Patients, Devices]:
    """The patients as their institutions have them, and the devices of these."""
    rng = np.random.default_rng([seed, 4])
    places, columns = len(facts()["attributions"]) + 1, len(latent_spread().columns)
    offset = shift * rng.standard_normal((places, columns))
    gain = np.cos(np.clip(shift * rng.standard_normal((places, columns)), -np.pi, np.pi))
    years, weight = YEARS_APART * shift * rng.standard_normal(places), shift * rng.standard_normal(places)
    tint = TINT_APART * shift * rng.standard_normal((places, 2))
    place = patients.attribution
    moved = replace(
        patients,
        age=np.clip(5.0 * np.round((patients.age + years[place]) / 5.0), 5.0, 85.0),
        susceptibility=patients.susceptibility + SUSCEPTIBILITY_APART * weight[place],
        tint=patients.tint + tint[place],
    )
    return moved, Devices(gain, offset)
