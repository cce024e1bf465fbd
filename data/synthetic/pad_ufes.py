"""A twin of a clinic's own folder, in the layout of PAD-UFES-20: `metadata.csv` and PNG pictures of the lesions.

The table names image files, patients have several lesions and lesions several images, and `biopsed` is known only where
the diagnosis is. `recipes/folder.toml` reads it.
"""

from pathlib import Path

import numpy as np
import polars as pl

from data.progress import Progress
from data.synthetic.isic2024.images import render
from data.synthetic.pictures import again, draw_looks
from data.synthetic.recipe import TwinRecipe

METADATA = "metadata.csv"

LOOKS_LIKE = {"ACK": "akiec", "BCC": "bcc", "MEL": "mel", "NEV": "nv", "SCC": "akiec", "SEK": "bkl"}
"""Diagnoses of PAD-UFES-20, with the painted look of each."""

SHARES = {"BCC": 0.30, "ACK": 0.26, "NEV": 0.16, "SEK": 0.12, "SCC": 0.10, "MEL": 0.06}
MALIGNANT = ("BCC", "MEL", "SCC")
REGIONS = ("FACE", "FOREARM", "CHEST", "BACK", "ARM", "NOSE", "HAND", "NECK", "THIGH", "EAR")
SUNLIT = (0, 1, 5, 6, 9)

PER_PATIENT = 1.4
"""Lesions."""


def write(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write the twin into `folder`, which is empty."""
    from PIL import Image

    rng = np.random.default_rng([recipe.seed, 40])
    lesions = draw_lesions(recipe.lesions, rng)
    of_image = np.repeat(np.arange(recipe.lesions), rng.choice([1, 2], recipe.lesions, p=[0.75, 0.25]))
    looks = draw_looks([LOOKS_LIKE[name] for name in lesions["diagnostic"]], recipe.image_side, rng)
    looks = again(looks[of_image], rng)
    shots = rng.permutation(1000)[: of_image.size] if of_image.size <= 1000 else np.arange(of_image.size)
    rows = lesions[of_image]
    names = [
        f"PAT_{patient.removeprefix('PAT_')}_{lesion}_{shot}.png"
        for patient, lesion, shot in zip(rows["patient_id"], rows["lesion_id"], shots, strict=True)
    ]
    rows.with_columns(pl.Series("img_id", names)).write_csv(folder / METADATA)
    for place, (name, look) in enumerate(zip(names, looks, strict=True)):
        part = folder / "images" / f"imgs_part_{1 + place * 3 // len(names)}"
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(look)[0]).save(part / name)
        progress(place + 1, len(names))


def draw_lesions(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """One row of the table per lesion, but for the image."""
    patients = max(2, round(count / PER_PATIENT))
    # Every patient has a lesion; the rest are handed out.
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, count - patients)])
    diagnosis = rng.choice(list(SHARES), count, p=list(SHARES.values()))
    malignant = np.isin(diagnosis, MALIGNANT)
    age = np.clip(rng.normal(60, 14, patients).round(), 10, 94).astype(int)[patient]
    age = np.clip(age + np.where(diagnosis == "NEV", -15, 3), 6, 94)
    sun = np.isin(diagnosis, ("ACK", "BCC", "SCC")) & (rng.random(count) < 0.6)
    region = np.where(sun, rng.choice(SUNLIT, count), rng.integers(0, len(REGIONS), count))
    asked = rng.random(patients)[patient] < 0.7

    def sign(shares: tuple[float, float]) -> list[str]:
        """A yes more often of malignant lesions."""
        yes = rng.random(count) < np.where(malignant, shares[1], shares[0])
        return ["True" if one else "False" for one in yes]

    return pl.DataFrame(
        {
            "patient_id": [f"PAT_{number + 8}" for number in patient],
            "lesion_id": (rng.permutation(count) + 1).tolist(),
            "age": age,
            "region": np.array(REGIONS)[region].tolist(),
            "diagnostic": diagnosis.tolist(),
            "gender": np.where(asked, np.where(patient % 2 == 0, "FEMALE", "MALE"), "").tolist(),
            "fitspatrick": pl.Series(np.where(asked, 1.0 + patient % 4, np.nan)).fill_nan(None),
            "diameter_1": pl.Series(np.where(asked, np.round(rng.gamma(3, 3, count), 1), np.nan)).fill_nan(None),
            "itch": sign((0.4, 0.6)),
            "grew": sign((0.2, 0.5)),
            "hurt": sign((0.05, 0.25)),
            "bleed": sign((0.05, 0.4)),
            "elevation": sign((0.35, 0.65)),
            "biopsed": np.where(malignant | (rng.random(count) < 0.2), "True", "False").tolist(),
        }
    )
