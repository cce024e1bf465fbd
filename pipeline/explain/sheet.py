"""One lesion's sheet: its figures as JSON, heat maps as PNG, and the page that shows both in one HTML file."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError
from data.files import atomic, write_json, write_text
from pipeline.explain.findings import findings
from pipeline.explain.networks import NetworkExplanation, Pixels, picture
from pipeline.explain.overlay import enlarged, overlay, png, scale
from pipeline.explain.population import Population, class_probability, truth
from pipeline.explain.words import sentences
from pipeline.report.finished import Floats
from pipeline.report.leads import finite
from pipeline.report.page import data_uri, render

OTHERS = 8
"""Other lesions of the patient on the sheet, the most suspicious first."""

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
"""Ids that are file names everywhere."""


def figures_of(
    population: Population,
    row: int,
    towards: int,
    networks: list[NetworkExplanation],
    boosters: dict[str, Any],
    said: dict[str, Floats],
    *,
    has_image: bool,
) -> dict[str, Any]:
    """Every number of a sheet."""
    cohort, rows = population.cohort, population.patient_rows(row)
    at = int(np.flatnonzero(rows == row)[0])
    of_class = {name: class_probability(column, towards) for name, column in said.items()}
    probability = class_probability(population.probability(rows, said["blend"]), towards)
    lacks_image = not has_image and population.plan.run.recipe.sees_images
    order = [i for i in np.argsort(-of_class["blend"], kind="stable") if i != at]
    figures: dict[str, Any] = {
        "run": population.plan.run.name,
        "models_invented": population.plan.run.invented,
        "lesion_invented": population.invented,
        "words": cohort.task.words,
        "lesion": str(population.ids[row]),
        "patient": str(cohort.groups[row]),
        "group_column": cohort.task.group,
        "kind": population.kind,
        "folds": list(population.folds_of(row)),
        "explained_class": cohort.task.classes[towards],
        "truth": truth(population, row),
        "probability": finite(probability[at]),
        "blend": finite(of_class["blend"][at]),
        "said": {name: finite(column[at]) for name, column in of_class.items()},
        "networks": [network_figures(one) for one in networks],
        "boosters": boosters,
        "patient_lesions": len(rows),
        "place": int((of_class["blend"] > of_class["blend"][at]).sum()) + 1,
        "others": [
            {"lesion": str(population.ids[rows[i]]), "probability": finite(probability[i]),
             "blend": finite(of_class["blend"][i]), "truth": truth(population, int(rows[i]))}
            for i in order[:OTHERS]
        ],
        "findings": findings(population, row, said["blend"][[at]], networks, lacks_image),
    }  # fmt: skip
    return {**figures, "said_in_words": sentences(figures)}


def network_figures(one: NetworkExplanation) -> dict[str, Any]:
    """The numbers of one image model."""
    relevance = one.relevance
    return {
        "model": one.name,
        "folds": list(one.folds),
        "score": one.score,
        "places": [list(look) for look in one.places],
        "cold": one.heat is not None and not bool(one.heat.any()),
        "metadata": None if relevance is None else {
            "columns": [
                {"column": name, "attribution": float(value), "relevance": float(scaled)}
                for name, value, scaled in sorted(
                    zip(relevance.columns, relevance.attributions[0], relevance.scaled[0], strict=True),
                    key=lambda entry: -entry[2],
                )
            ],
            "sum": float(relevance.attributions[0].sum()),
            "moved": float(relevance.moved[0]),
            "error": float(relevance.error[0]),
            "inexact": one.inexact,
        },
    }  # fmt: skip


def file_name_of(lesion: str) -> str:
    """The lesion's id where it is a plain name, else what is plain of it and a checksum that tells it from others.

    An id may hold slashes, be `..` or as long as no file's name, and differ from another by its case alone.
    """
    if PLAIN.fullmatch(lesion) and lesion == lesion.upper():
        return lesion
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", lesion)[:60]
    return f"{plain}-{hashlib.sha256(lesion.encode()).hexdigest()[:12]}"


def write_sheet(
    figures: dict[str, Any], population: Population, image: Pixels | None, networks: list[NetworkExplanation], out: Path
) -> Path:
    """Write `<lesion>.html`, `<lesion>.json` and one `<lesion>_<model>.png` per heat map into `out`."""
    name = file_name_of(figures["lesion"])
    maps = {}
    for one in networks:
        for of, drawn in ((one.name, one.heat), (f"{one.name}_attention", one.attention)):
            if drawn is None or one.seen is None:
                continue
            encoded = png(overlay(one.seen, drawn))
            with atomic(out / f"{name}_{of}.png") as temporary:
                temporary.write_bytes(encoded)
            maps[of] = data_uri("png", encoded)
    pictures = {} if image is None else {figures["lesion"]: data_uri("png", png(enlarged(image)))}
    for other in figures["others"]:
        row = int(np.flatnonzero(population.ids == other["lesion"])[0])
        try:
            pictures[other["lesion"]] = data_uri("png", png(picture(population, row)))
        except DataError:
            continue  # the page says that there is none
    write_json(out / f"{name}.json", figures)
    path = out / f"{name}.html"
    write_text(
        path, render("explain.html", figures, maps=maps, pictures=pictures, gradient=scale(), json=f"{name}.json")
    )
    return path
