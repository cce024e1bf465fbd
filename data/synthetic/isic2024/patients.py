"""The patients of a synthetic cohort: who they are, how many lesions each has, what their lesions share.

Everything measured on a single lesion is left to `lesions.py`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.synthetic.isic2024.facts import Floats, facts, latent_spread, marginal

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

SHARE_AGE_MISSING = 0.0070
SHARE_SEX_MISSING = 0.0287
SHARE_MALE = 0.68
SHARE_UNSEEN_ATTRIBUTION = 0.03
UNSEEN_ATTRIBUTION = ("FNQH Cairns", "CC-BY")
"""A place that contributes to the test part alone, as in the published files."""

SPREAD_OF_COUNTS = 0.966
"""Standard deviation of the log of lesions per patient: gives the published mean to median, 385 to 241."""

SHARE_OF_SHORT_VISITS = 0.02
"""Patients of whom fewer than ten lesions were published."""


@dataclass(frozen=True)
class Patients:
    """One row per patient; `of_lesion` maps lesions (sorted by patient) to rows."""

    ids: Texts
    of_lesion: Ints
    age: Floats
    """Multiples of 5; NaN where not recorded."""
    sex: Texts
    """Empty where not recorded."""
    attribution: Ints
    """Index into the published attributions; their number itself for the unseen one."""
    cross_polarised: npt.NDArray[np.bool_]
    latent: Floats
    """Mean normal score of each measured column over the patient's lesions."""
    susceptibility: Floats
    """Log weight of the patient's lesions when the malignant ones are chosen."""
    stature: Floats
    """Factor on heights above ground."""
    hair: Floats
    """Hairs per image to expect."""
    tint: Floats
    """(patients, 2) shift of the camera's white balance, in Lab units."""

    @property
    def counts(self) -> Ints:
        """Lesions of each patient."""
        return np.bincount(self.of_lesion, minlength=self.ids.size).astype(np.int64)


def numbered(prefix: str, count: int, digits: int, rng: np.random.Generator) -> Texts:
    """Distinct random ids in the published pattern, in no order."""
    numbers = rng.choice(10**digits - 10 ** (digits - 3), size=count, replace=False) + 10 ** (digits - 3)
    return np.char.add(f"{prefix}_", np.char.zfill(numbers.astype(np.str_), digits))


def draw_patients(
    ids: Texts, n_lesions: int, rng: np.random.Generator, *, with_unseen_attribution: bool = False
) -> Patients:
    """Draw the patients with these ids, who have `n_lesions` lesions between them and at least one each."""
    count = ids.size
    weight = rng.lognormal(0.0, SPREAD_OF_COUNTS, count)
    weight[rng.random(count) < SHARE_OF_SHORT_VISITS] *= 0.01
    counts = 1 + rng.multinomial(n_lesions - count, weight / weight.sum())
    places = facts()["attributions"]
    share = np.array([place["lesions"] for place in places], dtype=np.float64)
    attribution = rng.choice(share.size, size=count, p=share / share.sum())
    polarised = rng.random(count) < np.array([place["cross_polarised"] for place in places])[attribution]
    if with_unseen_attribution:
        unseen = _about(SHARE_UNSEEN_ATTRIBUTION, counts, rng)
        unseen[np.argmin(counts)] |= not unseen.any()
        attribution[unseen], polarised[unseen] = share.size, True
    age_score = rng.standard_normal(count)
    age = np.clip(5.0 * np.round(marginal("age_approx").value(age_score) / 5.0), 5.0, 85.0)
    sex = np.where(rng.random(count) < SHARE_MALE, "male", "female")
    spread = latent_spread()
    latent = _levelled(rng.standard_normal((count, len(spread.columns))) @ spread.between.T, spread.between, counts)
    light_skin = latent[:, spread.columns.index("tbp_lv_Lext")]
    return Patients(
        ids=ids,
        of_lesion=np.repeat(np.arange(count), counts),
        age=np.where(_about(SHARE_AGE_MISSING, counts, rng), np.nan, age),
        sex=np.where(_about(SHARE_SEX_MISSING, counts, rng), "", sex),
        attribution=attribution.astype(np.int64),
        cross_polarised=polarised,
        latent=latent,
        susceptibility=1.2 * rng.standard_normal(count) + 0.25 * age_score + 0.2 * light_skin - 0.75 * np.log(counts),
        stature=np.where(sex == "male", 1.02, 0.95) * rng.normal(1.0, 0.04, count),
        hair=rng.gamma(0.7, np.where(sex == "male", 4.0, 2.0)),
        tint=rng.normal(0.0, [1.3, 3.0], (count, 2)),
    )


def _levelled(latent: Floats, between: Floats, counts: Ints) -> Floats:
    """Centre and scale the means over lesions, so that few, unequal patients have the published marginals too."""
    centred = latent - np.average(latent, axis=0, weights=counts)
    found = np.sqrt(np.average(centred**2, axis=0, weights=counts))
    wanted = np.sqrt(np.sum(between**2, axis=1))
    # Bounded, since one patient with most lesions leaves hardly any variance to scale.
    return np.asarray(centred * np.clip(wanted / np.maximum(found, 1e-9), 0.8, 1.25), dtype=np.float64)


def _about(share: float, counts: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose random patients whose lesions make up at most `share` of all, nearly reaching it."""
    chosen = np.zeros(counts.size, dtype=np.bool_)
    left = share * float(counts.sum())
    for patient in rng.permutation(counts.size):
        if counts[patient] <= left:
            chosen[patient] = True
            left -= float(counts[patient])
    return chosen
