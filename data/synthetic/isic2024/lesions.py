"""The lesions of a synthetic cohort: which are malignant, and every measured column of each.

Columns are drawn together as normal scores (patient + region of the body + lesion), moved for malignant lesions, and
put through the published marginals; the columns that are functions of others are computed from them.
Diagnoses are left to `diagnoses.py`, pictures to `images.py`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from data.synthetic.isic2024.devices import Devices
from data.synthetic.isic2024.facts import (
    SHARE_SMALL,
    SHARE_WITHOUT_COLOUR,
    SMALLEST_UNTAGGED_MM,
    Floats,
    facts,
    latent_spread,
    malignant_curve,
    marginal,
)
from data.synthetic.isic2024.patients import Ints, Patients

BENIGN, TAGGED, BIOPSIED, MALIGNANT = 0, 1, 2, 3
"""Kinds of lesion: nobody looked twice; a doctor marked it; taken out and found benign; malignant."""

SHARE_TAGGED = 0.054
"""Benign lesions with a lesion_id."""

SEVERITY = np.array([0.0, 0.0, 0.3, 0.6])
"""How far a lesion of each kind moves from the benign to the malignant distribution of a measured column."""

ATYPIA = np.array([0.0, 0.0, 0.8, 2.5])
"""Mean, by kind, of the sign that only the picture shows (its standard deviation is 1)."""

SHARE_OF_REGION = 0.15
"""Part of the variance within a patient that lesions of one region of the body share."""

_HEAD_AND_NECK_ODDS = 8.0
"""Published: 0.65 % of the lesions of head and neck are malignant, 0.08 % elsewhere."""


@dataclass(frozen=True)
class Lesions:
    """One row per lesion, in the order of `Patients.of_lesion`."""

    kind: Ints
    location: Ints
    """Index into the published locations."""
    columns: dict[str, Floats]
    """The 34 measured columns under their published names."""
    atypia: Floats
    """The sign that no column shows: blue-grey areas, redness around, coarse dots instead of a regular network."""


def draw_lesions(
    patients: Patients, n_malignant: int, n_biopsied: int, rng: np.random.Generator, devices: Devices | None = None
) -> Lesions:
    """Draw every lesion of these patients; exactly `n_malignant` and `n_biopsied` are of those kinds.

    `devices` measure differently by institution; without them all measure alike.
    """
    location = _locations(patients, rng)
    kind = _kinds(patients, location, n_malignant, n_biopsied, rng)
    spread = latent_spread()
    score = _scores(patients, location, rng)
    severity = SEVERITY[kind]
    moved = {}
    for index, column in enumerate(spread.columns):
        own = score[:, index].copy()
        sick = severity > 0
        own[sick] += severity[sick] * (malignant_curve(column).value(own[sick]) - own[sick])
        moved[column] = own if devices is None else devices.measured(own, index, patients)
    columns = _measured(moved, kind, rng)
    columns |= _coordinates(patients, location, rng)
    return Lesions(kind, location, columns, ATYPIA[kind] + rng.standard_normal(kind.size))


def _locations(patients: Patients, rng: np.random.Generator) -> Ints:
    """A location for each lesion; patients differ in where their lesions are."""
    share = np.array([place["lesions"] for place in facts()["locations"]], dtype=np.float64)
    habit = np.log(share) + 0.4 * rng.standard_normal((patients.ids.size, share.size))
    chance = np.exp(habit - habit.max(axis=1, keepdims=True))
    upto = np.cumsum(chance, axis=1)
    upto /= upto[:, -1:]
    drawn = rng.random(patients.of_lesion.size)
    # One searchsorted over all patients: each patient's steps lie in an interval of their own.
    steps = (upto + np.arange(patients.ids.size)[:, None]).ravel()
    found = np.searchsorted(steps, drawn + patients.of_lesion, side="right") - patients.of_lesion * share.size
    return np.asarray(np.clip(found, 0, share.size - 1), dtype=np.int64)


def _kinds(patients: Patients, location: Ints, n_malignant: int, n_biopsied: int, rng: np.random.Generator) -> Ints:
    """Choose the malignant lesions by the patient's susceptibility and the location, then the biopsied and tagged."""
    count = patients.of_lesion.size
    head = np.array([place["site"] == "head/neck" for place in facts()["locations"]])[location]
    weight = patients.susceptibility[patients.of_lesion] + np.log(_HEAD_AND_NECK_ODDS) * head
    # Adding Gumbel noise and taking the largest draws without replacement in proportion to exp(weight).
    order = np.argsort(-(weight + rng.gumbel(size=count)), kind="stable")
    kind = np.where(rng.random(count) < SHARE_TAGGED, TAGGED, BENIGN)
    benign = order[n_malignant:]
    kind[rng.choice(benign, size=n_biopsied, replace=False)] = BIOPSIED
    kind[order[:n_malignant]] = MALIGNANT
    return kind.astype(np.int64)


def simple_location(location: str) -> str:
    """The published tbp_lv_location_simple of a tbp_lv_location."""
    if location.startswith("Torso"):
        return " ".join(location.split(" ")[:2])
    return location.split(" - ")[0]


def _scores(patients: Patients, location: Ints, rng: np.random.Generator) -> Floats:
    """Normal scores, (lesions, columns): the patient's mean, the region's offset and the lesion's own part."""
    spread = latent_spread()
    width = len(spread.columns)
    names = [simple_location(place["location"]) for place in facts()["locations"]]
    regions = sorted(set(names))
    region = np.array([regions.index(name) for name in names])[location]
    of_region = rng.standard_normal((patients.ids.size, len(regions), width))[patients.of_lesion, region]
    own = rng.standard_normal((location.size, width))
    own *= np.sqrt(1 - SHARE_OF_REGION)
    own += np.sqrt(SHARE_OF_REGION) * of_region
    return np.asarray(patients.latent[patients.of_lesion] + own @ spread.within.T, dtype=np.float64)


def _measured(score: dict[str, Floats], kind: Ints, rng: np.random.Generator) -> dict[str, Floats]:
    """Values of the measured columns and of all that follow from them."""
    value = {column: marginal(column).value(own) for column, own in score.items() if "color" not in column}
    value |= _colour_spreads(score)
    value |= _colours(value, rng)
    value |= _shapes(value, kind, rng)
    value["tbp_lv_symm_2axis_angle"] = (5 * rng.integers(0, 36, kind.size)).astype(np.float64)
    return value


def _colour_spreads(score: dict[str, Floats]) -> dict[str, Floats]:
    """The three colour spreads: all zero together on 6 % of lesions."""
    names = ("tbp_lv_norm_color", "tbp_lv_color_std_mean", "tbp_lv_radial_color_std_max")
    cut = ndtri(SHARE_WITHOUT_COLOUR)
    none = score[names[0]] < cut
    # Mean and deviation of a normal score above the cut, so that what is left is a normal score again.
    shift = np.exp(-(cut**2) / 2) / np.sqrt(2 * np.pi) / (1 - SHARE_WITHOUT_COLOUR)
    width = np.sqrt(1 + cut * shift - shift**2)
    return {name: np.where(none, 0.0, marginal(name).value((score[name] - shift) / width)) for name in names}


def _colours(value: dict[str, Floats], rng: np.random.Generator) -> dict[str, Floats]:
    """Colour of the lesion from that of the skin and the contrast; chroma, hue and total contrast follow."""
    a_out, b_out = value["tbp_lv_Aext"], value["tbp_lv_Bext"]
    a, b = a_out + value["tbp_lv_deltaA"], b_out + value["tbp_lv_deltaB"]
    lightness = np.maximum(value["tbp_lv_Lext"] + value["tbp_lv_deltaL"], 4.0)
    contrast = np.hypot(value["tbp_lv_deltaL"], value["tbp_lv_deltaB"])
    return {
        "tbp_lv_A": a,
        "tbp_lv_B": b,
        "tbp_lv_C": np.hypot(a, b),
        "tbp_lv_Cext": np.hypot(a_out, b_out),
        "tbp_lv_H": np.degrees(np.arctan2(b, a)),
        "tbp_lv_Hext": np.degrees(np.arctan2(b_out, a_out)),
        "tbp_lv_L": lightness,
        "tbp_lv_deltaL": lightness - value["tbp_lv_Lext"],
        # The instrument averages over pixels, so its figure lies a little above that of the averages.
        "tbp_lv_deltaLB": np.sqrt(contrast**2 + rng.lognormal(1.05, 0.65, contrast.size)),
    }


def _shapes(value: dict[str, Floats], kind: Ints, rng: np.random.Generator) -> dict[str, Floats]:
    """Diameter of tagged lesions; axis, area and perimeter from diameter, eccentricity and their published scatter."""
    count = kind.size
    diameter = value["clin_size_long_diam_mm"].copy()
    malignant = kind == MALIGNANT
    chance = np.where(malignant, SHARE_SMALL["malignant"], np.where(kind == BENIGN, 0.0, SHARE_SMALL["tagged"]))
    small = rng.random(count) < chance
    below = np.where(malignant, rng.beta(1.0, 1.0, count), rng.beta(1.0, 2.5, count))
    diameter[small] = (SMALLEST_UNTAGGED_MM - 0.01 - 1.45 * below)[small]
    minor = diameter * np.sqrt(1 - value["tbp_lv_eccentricity"] ** 2) * rng.lognormal(0.02, 0.06, count)
    area = np.pi / 4 * diameter * minor * rng.lognormal(-0.03, 0.11, count)
    return {
        "clin_size_long_diam_mm": np.round(diameter, 2),
        "tbp_lv_minorAxisMM": minor,
        "tbp_lv_areaMM2": area,
        "tbp_lv_perimeterMM": np.sqrt(value["tbp_lv_area_perim_ratio"] * area),
    }


def _coordinates(patients: Patients, location: Ints, rng: np.random.Generator) -> dict[str, Floats]:
    """Position on the body model in mm: y is the height, z grows towards the back."""
    places = facts()["locations"]
    found = {}
    for axis in "xyz":
        mean, spread = np.array([place[axis] for place in places], dtype=np.float64).T
        found[f"tbp_lv_{axis}"] = mean[location] + spread[location] * rng.standard_normal(location.size)
    found["tbp_lv_y"] *= patients.stature[patients.of_lesion]
    return found
