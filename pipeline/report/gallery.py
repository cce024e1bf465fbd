"""The lesions that the run gets most wrong, each beside the patient's other lesions and with what pushed its score."""

from typing import Any

import numpy as np
import simplejpeg

from data.errors import DataError
from data.images.decode import decode
from data.images.sources import ImageSource
from features.table import FeatureTable
from pipeline.report.attribution import Attribution
from pipeline.report.classes import confidently_wrong
from pipeline.report.finished import SUBJECT, FinishedRun, Floats, Ints
from pipeline.report.leads import finite
from pipeline.report.loaded import push
from pipeline.report.page import data_uri

SHOWN = 6
"""Lesions of each kind."""
NEIGHBOURS = 5
"""Other lesions of the same patient, the most suspicious first: what a reader would compare with."""
PUSHES = 5
SIDE_PX = 96
QUALITY = 80


def hardest(finished: FinishedRun) -> dict[str, Ints]:
    """Rows of the malignant lesions ranked lowest and the benign ones ranked highest; of several classes, one kind."""
    if not finished.binary:
        return {"confidently_wrong": confidently_wrong(finished, 2 * SHOWN)}
    found = {}
    for kind, value, sign in (("malignant_ranked_lowest", 1, 1.0), ("benign_ranked_highest", 0, -1.0)):
        rows = finished.known_rows[finished.target[finished.known_rows] == value]
        found[kind] = rows[np.argsort(sign * finished.blend[rows], kind="stable")][:SHOWN]
    return found


def gallery(
    finished: FinishedRun, chosen: dict[str, Ints], attribution: Attribution | None, table: FeatureTable | None
) -> dict[str, Any]:
    """The figures beside each picture."""
    suspicion = finished.blend if finished.binary else finished.blend.max(axis=1)
    rank = np.argsort(np.argsort(-np.where(np.isfinite(suspicion), suspicion, -1.0), kind="stable")) + 1
    return {
        kind: [
            lesion_figures(
                finished, int(row), int(rank[row]), [] if attribution is None else pushes(attribution, int(row), table)
            )
            for row in rows
        ]
        for kind, rows in chosen.items()
    }


def lesion_figures(finished: FinishedRun, row: int, rank: int, pushed: list[dict[str, Any]]) -> dict[str, Any]:
    """One lesion: who it is, what every column said, what pushed it, and the patient's other lesions."""
    task, target, known = finished.task, finished.target, finished.known_rows
    others = known[(finished.groups[known] == finished.groups[row]) & (known != row)]
    code = None if finished.binary else int(finished.blend[row].argmax())
    said = {name: of_class(column, code) for name, column in finished.columns.items()}
    blend = said.pop(SUBJECT)
    shown = others[np.argsort(-blend[others], kind="stable")][:NEIGHBOURS]
    return {
        "lesion": str(finished.ids[row]),
        "patient": str(finished.groups[row]),
        "fold": int(finished.fold[row]),
        "rank": rank,
        "called": None if code is None else task.classes[code],
        "truth": task.classes[target[row]],
        "probability": float(blend[row]),
        "said": {name: finite(column[row]) for name, column in said.items()},
        "patient_lesions": len(others) + 1,
        "patient_malignant": int((target[np.append(others, row)] > 0).sum()),
        "pushes": pushed,
        "others": [
            {
                "lesion": str(finished.ids[i]),
                "probability": float(blend[i]),
                "malignant": bool(target[i]) if finished.binary else False,
                "truth": task.classes[target[i]],
            }
            for i in shown
        ],
    }


def of_class(column: Floats, code: int | None) -> Floats:
    """The probability of one class; with two classes there is one column."""
    return column if code is None else column[:, code]


def pushes(attribution: Attribution, row: int, table: FeatureTable | None) -> list[dict[str, Any]]:
    """The features with the largest contributions to one lesion's log-odds, and their values."""
    contributions = attribution.of(row)
    result = []
    for i in np.argsort(-np.abs(contributions), kind="stable")[:PUSHES]:
        name = attribution.names[i]
        feature = attribution.features[name]
        value = None if table is None else table.frame[feature.name][row]
        result.append(push(name, feature, value, float(contributions[i])))
    return result


def pictures(images: ImageSource | None, figures: dict[str, Any]) -> dict[str, str]:
    """A small JPEG data URI of every lesion in the gallery that has a readable image."""
    entries = [entry for of_kind in figures.values() for entry in of_kind]
    wanted = {one["lesion"] for entry in entries for one in (entry, *entry["others"])}
    found: dict[str, str] = {}
    if images is None:
        return found
    for lesion in sorted(wanted):
        try:
            pixels = decode(images.read(lesion), SIDE_PX)
        except DataError:
            continue
        found[lesion] = data_uri("jpeg", simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY))
    return found
