"""A twin of PH2: the text table with its legend, the workbook, and a folder per image with its picture and its mask.

Forty per cent common naevi, forty atypical ones, twenty melanomas, as published; the criteria depend on the diagnosis.
"""

from pathlib import Path

import numpy as np
import polars as pl

from data.progress import Progress
from data.schemas.ph2 import COLOURS, DIAGNOSES, IMAGES, TABLES
from data.synthetic.isic2024.images import render
from data.synthetic.pictures import draw_looks
from data.synthetic.recipe import TwinRecipe

SHARES = (0.4, 0.4, 0.2)

TEXT_HEADER = (
    "||   Name   || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | Dots/Globules | "
    "Streaks | Regression Areas | Blue-Whitish Veil ||   Colors   ||"
)

LEGEND = """
Legends:
    Clinical Diagnosis:  0 - Common Nevus;  1 - Atypical Nevus;  2 - Melanoma.
    Asymmetry:  0 - Fully Symmetric;  1 - Symmetric in 1 axis;  2 - Fully Asymmetric.
    Pigment Network:  AT - Atypical;  T - Typical.
    Dots/Globules:  A - Absent;  AT - Atypical;  T - Typical.
    Streaks, Regression Areas, Blue-Whitish Veil:  A - Absent;  P - Present.
    Colors:  1 - White;  2 - Red;  3 - Light-Brown;  4 - Dark-Brown;  5 - Blue-Gray;  6 - Black.
"""

SHEET_HEADER = (
    *("Image Name", "Histological Diagnosis", "Common Nevus", "Atypical Nevus", "Melanoma"),
    *("Asymmetry\n(0/1/2)", "Pigment Network\n(AT/T)", "Dots/Globules\n(A/AT/T)", "Streaks\n(A/P)"),
    *("Regression Areas\n(A/P)", "Blue-Whitish Veil\n(A/P)"),
    *("White", "Red", "Light-Brown", "Dark-Brown", "Blue-Gray", "Black"),
)

ROWS_BEFORE_THE_SHEET = 12
"""Of legend, above the header."""

COLOUR_SHARES = (
    (0.0, 0.05, 0.85, 0.6, 0.0, 0.05),
    (0.05, 0.1, 0.75, 0.8, 0.1, 0.15),
    (0.45, 0.3, 0.5, 0.85, 0.7, 0.5),
)
"""By diagnosis, for each colour."""


def write(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write the twin into `folder`, which is empty."""
    rng = np.random.default_rng([recipe.seed, 20])
    counts = [int(share * recipe.lesions) for share in SHARES]
    counts[0] += recipe.lesions - sum(counts)
    code = rng.permutation(np.repeat(np.arange(3), counts))
    table = draw_table(code, rng)
    write_text_table(folder / TABLES[0], table)
    write_workbook(folder / TABLES[1], table)
    looks = draw_looks([DIAGNOSES[one] for one in code], recipe.image_side, rng)
    for place, (name, look) in enumerate(zip(table["name"], looks, strict=True)):
        write_pictures(folder / IMAGES / name, name, look)
        progress(place + 1, recipe.lesions)


def draw_table(code: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator) -> pl.DataFrame:
    """The criteria of every image: more asymmetry and more signs the worse the diagnosis."""

    def some(share: tuple[float, float, float], yes: str, no: str) -> list[str]:
        return [yes if one else no for one in rng.random(code.size) < np.array(share)[code]]

    wide = np.where(rng.random(code.size) < np.array([0.05, 0.3, 0.75])[code], 2, rng.integers(0, 2, code.size))
    dots = np.where(rng.random(code.size) < 0.4, "A", some((0.1, 0.5, 0.8), "AT", "T"))
    colours = rng.random((code.size, len(COLOURS))) < np.array(COLOUR_SHARES)[code]
    colours[~colours.any(axis=1), COLOURS.index("light_brown")] = True
    return pl.DataFrame(
        {
            "name": [f"IMD{number:03d}" for number in np.sort(rng.permutation(2 * code.size)[: code.size]) + 2],
            "histology": ["Melanoma" if one == 2 else "" for one in code],
            "diagnosis": code,
            "asymmetry": wide,
            "network": some((0.1, 0.6, 0.9), "AT", "T"),
            "dots": dots.tolist(),
            "streaks": some((0.02, 0.08, 0.4), "P", "A"),
            "regression": some((0.0, 0.05, 0.5), "P", "A"),
            "veil": some((0.0, 0.03, 0.6), "P", "A"),
            **{name: colours[:, place] for place, name in enumerate(COLOURS)},
        }
    )


def write_text_table(path: Path, table: pl.DataFrame) -> None:
    """The table between bars, with the legend after its rows."""
    lines = [TEXT_HEADER]
    for row in table.iter_rows(named=True):
        colours = "  ".join(str(place) for place, name in enumerate(COLOURS, 1) if row[name])
        criteria = " | ".join(
            str(row[name]) for name in ("asymmetry", "network", "dots", "streaks", "regression", "veil")
        )
        lines.append(f"|| {row['name']} || {row['histology']:20s} || {row['diagnosis']} || {criteria} || {colours} ||")
    path.write_text("\n".join(lines) + "\n" + LEGEND, encoding="utf-8")


def write_workbook(path: Path, table: pl.DataFrame) -> None:
    """The same with a cross per class and colour, below a legend."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    for line in LEGEND.strip().splitlines()[:ROWS_BEFORE_THE_SHEET]:
        sheet.append([line])
    for place, title in enumerate(SHEET_HEADER, 1):
        sheet.cell(row=ROWS_BEFORE_THE_SHEET + 1, column=place, value=title)
    for row in table.iter_rows(named=True):
        crosses = ["X" if row["diagnosis"] == code else None for code in range(3)]
        criteria = [row[name] for name in ("asymmetry", "network", "dots", "streaks", "regression", "veil")]
        colours = ["X" if row[name] else None for name in COLOURS]
        sheet.append([row["name"], row["histology"] or None, *crosses, *criteria, *colours])
    book.save(path)


def write_pictures(folder: Path, name: str, look: np.void) -> None:
    """The dermoscopic image and the outline, as bitmaps."""
    from PIL import Image

    tile, inside = render(look)
    for part, pixels, file in (("Dermoscopic_Image", tile, name), ("lesion", inside, f"{name}_lesion")):
        place = folder / f"{name}_{part}"
        place.mkdir(parents=True)
        Image.fromarray(pixels).save(place / f"{file}.bmp")
