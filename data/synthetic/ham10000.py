"""A twin of HAM10000: `HAM10000_metadata.csv` and two folders of JPEG, several images of some lesions.

The rare diagnoses are less rare than published, so that a small twin has some of each in every fold. Age, sex, site
and the way of diagnosis depend on the diagnosis as they do in the published table, roughly.
"""

from pathlib import Path

import numpy as np
import polars as pl

from data.progress import Progress
from data.schemas.ham10000 import DIAGNOSES, METADATA, SOURCES
from data.synthetic.isic2024.images import encode
from data.synthetic.pictures import again, draw_looks
from data.synthetic.recipe import TwinRecipe

PUBLISHED_IMAGES = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}

SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "scalp", "neck")

SITE_WEIGHTS = {
    "akiec": (1, 2, 1, 2, 0, 5, 1, 0, 2, 1),
    "bkl": (4, 3, 2, 2, 1, 6, 2, 0, 2, 2),
    "vasc": (2, 2, 5, 2, 2, 1, 1, 1, 0, 0),
}
"""Diagnoses that prefer sites; the others lie mostly on trunk and limbs."""

USUAL_SITES = (5, 5, 4, 3, 3, 1, 2, 1, 0, 1)

MEAN_AGE = {"nv": 47, "mel": 61, "bkl": 65, "bcc": 67, "akiec": 67, "vasc": 51, "df": 52}
WOMEN = {"nv": 0.49, "mel": 0.38, "bkl": 0.42, "bcc": 0.38, "akiec": 0.32, "vasc": 0.51, "df": 0.55}
CONFIRMED = {
    "nv": (("follow_up", 0.55), ("histo", 0.37), ("consensus", 0.08)),
    "bkl": (("histo", 0.7), ("consensus", 0.23), ("confocal", 0.07)),
    "vasc": (("consensus", 0.67), ("histo", 0.33)),
    "df": (("consensus", 0.52), ("histo", 0.48)),
}
"""How the diagnosis was confirmed; of the malignant ones always by histology."""

COLLECTIONS = {"vidir_molemax": 0.39, "vidir_modern": 0.34, "rosendahl": 0.23, "vienna_dias": 0.04}
"""Share of the images that come from each of the four collections, roughly as published."""

MORE_IMAGES = (0.72, 0.2, 0.08)
"""Share of lesions with one, two and three images."""


def write(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write the twin into `folder`, which is empty."""
    rng = np.random.default_rng([recipe.seed, 10])
    diagnosis = draw_diagnoses(recipe.lesions, rng)
    images = rng.choice([1, 2, 3], recipe.lesions, p=MORE_IMAGES)
    looks = draw_looks(diagnosis, recipe.image_side, rng)
    rows = draw_rows(diagnosis, rng)
    of_image = np.repeat(np.arange(recipe.lesions), images)
    looks = again(looks[of_image], rng)
    names = [f"ISIC_{number:07d}" for number in rng.permutation(len(of_image)) + 24_306]
    table = pl.DataFrame({"image_id": names}).hstack(rows[of_image])
    table.select("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization").write_csv(folder / METADATA)
    # A lesion's pictures come from one collection; drawn by a generator of its own, after everything else.
    collection = np.random.default_rng([recipe.seed, 11]).choice(
        list(COLLECTIONS), recipe.lesions, p=list(COLLECTIONS.values())
    )
    pl.DataFrame({"image_id": names, "dataset": collection[of_image].tolist()}).write_csv(folder / SOURCES)
    parts = [folder / f"HAM10000_images_part_{part}" for part in (1, 2)]
    for part in parts:
        part.mkdir()
    for place, (name, look) in enumerate(zip(names, looks, strict=True)):
        (parts[place * 2 // len(names)] / f"{name}.jpg").write_bytes(encode(look))
        progress(place + 1, len(names))


def draw_diagnoses(lesions: int, rng: np.random.Generator) -> list[str]:
    """Diagnoses in random order, as often as the square roots of their published counts."""
    share = np.sqrt([PUBLISHED_IMAGES[name] for name in DIAGNOSES])
    counts = np.floor(share / share.sum() * lesions).astype(int)
    counts[0] += lesions - counts.sum()
    return [str(name) for name in rng.permutation(np.repeat(DIAGNOSES, counts))]


def draw_rows(diagnosis: list[str], rng: np.random.Generator) -> pl.DataFrame:
    """One row of the table per lesion."""
    lesions = len(diagnosis)
    age = rng.normal([MEAN_AGE[name] for name in diagnosis], 14)
    age = np.where(rng.random(lesions) < 0.01, np.nan, np.clip(5 * np.round(age / 5), 0, 85))
    woman = rng.random(lesions) < np.array([WOMEN[name] for name in diagnosis])
    sex = np.where(rng.random(lesions) < 0.01, "unknown", np.where(woman, "female", "male"))
    sites, types = [], []
    for name in diagnosis:
        weight = np.array(SITE_WEIGHTS.get(name, USUAL_SITES), dtype=np.float64)
        sites.append("unknown" if rng.random() < 0.02 else str(rng.choice(SITES, p=weight / weight.sum())))
        ways = CONFIRMED.get(name, (("histo", 1.0),))
        types.append(str(rng.choice([way for way, _ in ways], p=[share for _, share in ways])))
    return pl.DataFrame(
        {
            "lesion_id": [f"HAM_{number:07d}" for number in rng.permutation(lesions)],
            "dx": diagnosis,
            "dx_type": types,
            "age": pl.Series(age).fill_nan(None),
            "sex": sex.tolist(),
            "localization": sites,
        }
    )
