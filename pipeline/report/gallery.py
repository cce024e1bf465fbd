"""The lesions that the run gets most wrong, each beside the patient's other lesions and with what pushed its score."""

import base64
from typing import Any

import numpy as np
import simplejpeg

from data.errors import DataError
from data.images.decode import decode
from features.table import FeatureTable
from pipeline.report.classes import confidently_wrong
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.importance import Attribution

SHOWN = 6
"""Lesions of each kind."""
NEIGHBOURS = 5
"""Other lesions of the same patient, the most suspicious first: what a reader would compare with."""
PUSHES = 5
SIDE_PX = 96
QUALITY = 80


def hardest(run: FinishedRun) -> dict[str, Ints]:
    """Rows of the malignant lesions ranked lowest and the benign ones ranked highest; of several classes, one kind."""
    if not run.binary:
        return {"confidently_wrong": confidently_wrong(run, 2 * SHOWN)}
    found = {}
    for kind, value, sign in (("malignant_ranked_lowest", 1, 1.0), ("benign_ranked_highest", 0, -1.0)):
        rows = np.flatnonzero((run.target == value) & np.isfinite(run.blend))
        found[kind] = rows[np.argsort(sign * run.blend[rows], kind="stable")][:SHOWN].astype(np.int64)
    return found


def gallery(
    run: FinishedRun, chosen: dict[str, Ints], attribution: Attribution | None, table: FeatureTable | None
) -> dict[str, Any]:
    """The figures beside each picture."""
    suspicion = run.blend if run.binary else run.blend.max(axis=1)
    rank = np.argsort(np.argsort(-np.where(np.isfinite(suspicion), suspicion, -1.0), kind="stable")) + 1
    return {
        kind: [lesion_figures(run, int(row), int(rank[row]), attribution, table) for row in rows]
        for kind, rows in chosen.items()
    }


def lesion_figures(
    run: FinishedRun, row: int, rank: int, attribution: Attribution | None, table: FeatureTable | None
) -> dict[str, Any]:
    """One lesion: who it is, what every column said, what pushed it, and the patient's other lesions."""
    others = run.known_rows[run.groups[run.known_rows] == run.groups[row]]
    others = others[others != row]
    code = None if run.binary else int(run.blend[row].argmax())
    said = {name: of_class(column, code) for name, column in {**run.image_columns, **run.member_columns}.items()}
    blend = of_class(run.blend, code)
    shown = others[np.argsort(-blend[others], kind="stable")][:NEIGHBOURS]
    return {
        "lesion": str(run.ids[row]),
        "patient": str(run.groups[row]),
        "fold": int(run.fold[row]),
        "rank": rank,
        "called": None if code is None else run.task.classes[code],
        "truth": run.task.classes[run.target[row]],
        "probability": float(blend[row]),
        "said": {name: finite(column[row]) for name, column in said.items()},
        "patient_lesions": len(others) + 1,
        "patient_malignant": int((run.target[np.append(others, row)] > 0).sum()),
        "pushes": [] if attribution is None else pushes(attribution, row, table),
        "others": [
            {
                "lesion": str(run.ids[i]),
                "probability": float(blend[i]),
                "malignant": bool(run.target[i]) if run.binary else False,
                "truth": run.task.classes[run.target[i]],
            }
            for i in shown
        ],
    }


def of_class(column: Floats, code: int | None) -> Floats:
    """The probability of one class; with two classes there is one column."""
    return column if code is None else column[:, code]


def finite(value: Any) -> float | None:
    """None for a missing probability."""
    return float(value) if np.isfinite(value) else None


def pushes(attribution: Attribution, row: int, table: FeatureTable | None) -> list[dict[str, Any]]:
    """The features with the largest contributions to one lesion's log-odds, and their values."""
    contributions = attribution.of(row)
    result = []
    for i in np.argsort(-np.abs(contributions), kind="stable")[:PUSHES]:
        feature = attribution.features[attribution.names[i]]
        value = None if table is None else table.frame[feature.name][row]
        result.append(
            {
                "feature": attribution.names[i],
                "meaning": feature.formula,
                "unit": "" if feature.unit[:1].isdigit() else feature.unit,  # "1" and "0 to 10" are no units
                "value": value if value is None or isinstance(value, str) else float(f"{value:.4g}"),
                "contribution": float(contributions[i]),
            }
        )
    return result


def pictures(run: FinishedRun, figures: dict[str, Any]) -> dict[str, str]:
    """A small JPEG data URI of every lesion in the gallery that has a readable image."""
    wanted = {entry["lesion"] for entries in figures.values() for entry in entries}
    wanted |= {other["lesion"] for entries in figures.values() for entry in entries for other in entry["others"]}
    images = run.space.data.train_images
    found: dict[str, str] = {}
    if images is None:
        return found
    for lesion in sorted(wanted):
        try:
            pixels = decode(images.read(lesion), SIDE_PX)
        except DataError:
            continue
        encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY)
        found[lesion] = "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
    return found
