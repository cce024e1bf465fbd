"""A twin of MILK10k: two images of every lesion, a training part with its answers and a small test part.

The rare diagnoses are less rare than published, so that a small twin has some of each in every fold. Age, skin tone,
site and what the concepts say of an image depend on the diagnosis, roughly as textbooks have it.
"""

from pathlib import Path

import numpy as np
import polars as pl

from data.progress import Progress
from data.schemas.milk10k import CONCEPTS, DIAGNOSES, IMAGES, KINDS, METADATA, METADATA_SCHEMA, TRUTH
from data.synthetic.isic2024.images import encode
from data.synthetic.pictures import again, draw_looks
from data.synthetic.recipe import TwinRecipe

PUBLISHED_LESIONS = {
    "AKIEC": 303, "BCC": 2522, "BEN_OTH": 44, "BKL": 544, "DF": 52, "INF": 50, "MAL_OTH": 9, "MEL": 450, "NV": 746,
    "SCCKA": 473, "VASC": 47,
}  # fmt: skip

FEWEST = 2
"""Lesions of a diagnosis, however small the twin is."""
TEST_SHARE = 0.1
"""Lesions of the test part, as a share of the training lesions."""

LOOKS_LIKE = {
    "AKIEC": "akiec", "BCC": "bcc", "BEN_OTH": "common_nevus", "BKL": "bkl", "DF": "df", "INF": "akiec",
    "MAL_OTH": "bcc", "MEL": "mel", "NV": "nv", "SCCKA": "akiec", "VASC": "vasc",
}  # fmt: skip
"""The painted look of each diagnosis."""

SITES = ("head_neck_face", "trunk", "upper_extremity", "lower_extremity", "hand", "foot", "genital")
USUAL_SITES = (2, 6, 3, 4, 1, 1, 0.2)
SITE_WEIGHTS = {
    "AKIEC": (8, 2, 3, 2, 2, 0.2, 0.1),
    "BCC": (8, 5, 2, 2, 0.3, 0.1, 0.1),
    "SCCKA": (6, 2, 3, 3, 3, 0.3, 0.2),
    "DF": (0.2, 1, 3, 7, 0.2, 0.5, 0.1),
}
"""Diagnoses that prefer sites."""

MEAN_AGE = {"AKIEC": 72, "BCC": 70, "BKL": 66, "SCCKA": 74, "MEL": 62, "MAL_OTH": 70}
YOUNGER = 48
"""Mean age of the other diagnoses."""

SEEN = {
    "AKIEC": (0.45, 0.2, 0.35, 0.6, 0.1),
    "BCC": (0.45, 0.15, 0.6, 0.4, 0.2),
    "BKL": (0.3, 0.2, 0.15, 0.2, 0.6),
    "INF": (0.35, 0.2, 0.4, 0.75, 0.1),
    "MAL_OTH": (0.5, 0.1, 0.6, 0.5, 0.2),
    "MEL": (0.3, 0.2, 0.3, 0.25, 0.8),
    "NV": (0.05, 0.3, 0.1, 0.1, 0.8),
    "SCCKA": (0.7, 0.15, 0.4, 0.55, 0.1),
    "VASC": (0.15, 0.15, 0.85, 0.7, 0.2),
}
"""Mean of the first five concepts: crust, hair, vessels, redness, pigment."""
USUALLY_SEEN = (0.15, 0.2, 0.2, 0.3, 0.4)
NOT_OF_THE_LESION = (0.3, 0.1)
"""Mean of the last two, liquid and pen marks, which belong to the photograph."""


def write(folder: Path, recipe: TwinRecipe, progress: Progress, *, images: bool = True) -> None:
    """Write the twin into `folder`, which is empty; without images, the same tables alone."""
    rng = np.random.default_rng([recipe.seed, 50])
    trained, tested = recipe.lesions, max(1, round(TEST_SHARE * recipe.lesions))
    lesions = [f"IL_{number:07d}" for number in rng.permutation(trained + tested) + 652]
    names = [f"ISIC_{number:07d}" for number in rng.permutation(2 * (trained + tested)) + 8_000_000]
    for part, first, count in (("Training", 0, trained), ("Test", trained, tested)):
        diagnosis = draw_diagnoses(count, rng)
        own = slice(len(KINDS) * first, len(KINDS) * (first + count))
        rows = draw_rows(lesions[first : first + count], diagnosis, names[own], rng)
        rows.write_csv(folder / METADATA.format(part=part))
        if part == "Training":
            truth = {name: (np.array(diagnosis) == name).astype(float) for name in DIAGNOSES}
            pl.DataFrame({"lesion_id": lesions[:count], **truth}).write_csv(folder / TRUTH)
        looks = draw_looks([LOOKS_LIKE[name] for name in diagnosis], recipe.image_side, rng)
        looks = again(np.repeat(looks, len(KINDS)), rng)
        if images:
            paths = [folder / IMAGES.format(part=part) / lesion for lesion in rows["lesion_id"]]
            for place, (path, name, look) in enumerate(zip(paths, names[own], looks, strict=True), own.start + 1):
                path.mkdir(parents=True, exist_ok=True)
                (path / f"{name}.jpg").write_bytes(encode(look))
                progress(place, len(names))


def draw_diagnoses(lesions: int, rng: np.random.Generator) -> list[str]:
    """Diagnoses in random order, as often as the square roots of their published counts, and each at least twice.

    A part of fewer lesions than that takes has only the commonest ones.
    """
    if lesions < FEWEST * len(DIAGNOSES):
        common = sorted(DIAGNOSES, key=lambda name: -PUBLISHED_LESIONS[name])
        return [str(name) for name in rng.permutation(np.resize(common, lesions))]
    share = np.sqrt([PUBLISHED_LESIONS[name] for name in DIAGNOSES])
    free = lesions - FEWEST * len(DIAGNOSES)
    counts = FEWEST + np.floor(share / share.sum() * free).astype(int)
    counts[DIAGNOSES.index("BCC")] += lesions - counts.sum()
    return [str(name) for name in rng.permutation(np.repeat(DIAGNOSES, counts))]


def draw_rows(lesions: list[str], diagnosis: list[str], pictures: list[str], rng: np.random.Generator) -> pl.DataFrame:
    """One row of the metadata for each image, the two of a lesion one after the other."""
    count, kinds = len(lesions), list(KINDS.values())[::-1]
    age = rng.normal([MEAN_AGE.get(name, YOUNGER) for name in diagnosis], 13)
    age = np.where(rng.random(count) < 0.01, np.nan, np.clip(5 * np.round(age / 5), 5, 85))
    weights = [np.array(SITE_WEIGHTS.get(name, USUAL_SITES), dtype=np.float64) for name in diagnosis]
    of_lesion = pl.DataFrame(
        {
            "lesion_id": lesions,
            "age_approx": pl.Series(age).fill_nan(None),
            "sex": np.where(rng.random(count) < 0.5, "female", "male").tolist(),
            "skin_tone_class": rng.choice(6, count, p=[0.01, 0.02, 0.07, 0.3, 0.4, 0.2]),
            "site": [str(rng.choice(SITES, p=weight / weight.sum())) for weight in weights],
        }
    )
    means = np.array([(*SEEN.get(name, USUALLY_SEEN), *NOT_OF_THE_LESION) for name in diagnosis])
    noise = rng.normal(0, 0.15, (len(kinds) * count, len(CONCEPTS)))
    seen = np.clip(np.repeat(means, len(kinds), axis=0) + noise, 0, 1)
    of_image = pl.DataFrame(
        {
            "image_type": kinds * count,
            "isic_id": pictures,
            "attribution": ["MILK study team"] * len(pictures),
            "copyright_license": ["CC-BY-NC"] * len(pictures),
            "image_manipulation": ["instrument only" if kind == KINDS["dermoscopic"] else "altered" for kind in kinds]
            * count,
            **{name: np.round(seen[:, place], 6) for place, name in enumerate(CONCEPTS)},
        }
    )
    table = pl.concat([of_lesion[np.repeat(np.arange(count), len(kinds))], of_image], how="horizontal")
    return table.select(column.name for column in METADATA_SCHEMA)
