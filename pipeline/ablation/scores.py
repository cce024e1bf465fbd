"""Scores of the rows, how far each is from the whole, and whether the published order shows; intervals over patients.

Differences are paired: both columns are scored on the same drawn patients, so what all lesions share cancels out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.predictions import known_rows
from data.scores.repeated import corrected_test, fold_differences
from data.scores.scores import UndefinedScoreError
from pipeline.ablation.rows import IMAGE_ONLY, Floats, Row
from pipeline.report.leads import lead, score_figures

REPLICATES = 1000
ORDER = ("full", "metadata_advanced", IMAGE_ONLY)
"""How the published figures rank the three, best first, on both parts of the leaderboard."""


@dataclass(frozen=True)
class Sample:
    """The lesions that columns are scored on."""

    part: Literal["cross_validated", "hidden_test"]
    target: npt.NDArray[np.int64]
    groups: npt.NDArray[Any]
    score: str
    seed: int
    fold: npt.NDArray[np.int64] | None = None
    """Of each lesion, where the columns were made fold by fold."""

    def column(self, row: Row) -> Floats | None:
        """The column of a row for these lesions."""
        return row.out_of_fold if self.part == "cross_validated" else row.test

    def score_of(self, row: Row) -> dict[str, float] | None:
        """Estimate, low and high; None where the row has no column here or the score is undefined."""
        column = self.column(row)
        if column is None:
            return None
        known = known_rows(column)
        sample = self.target[known], column[known], self.groups[known]
        return score_figures(*sample, self.score, self.seed, REPLICATES)

    def lead(self, a: Row, b: Row) -> dict[str, float] | None:
        """Score of `a` less score of `b`, on the lesions that both know."""
        of_a, of_b = self.column(a), self.column(b)
        if of_a is None or of_b is None:
            return None
        try:
            return lead(self.target, of_a, of_b, self.groups, self.score, self.seed, REPLICATES)
        except UndefinedScoreError:
            return None

    def told_apart(self, a: Row, b: Row) -> dict[str, Any] | None:
        """Whether `a` less `b` is more than the spread between folds, whose training sets overlap."""
        of_a, of_b = self.column(a), self.column(b)
        if self.fold is None or of_a is None or of_b is None:
            return None
        known = known_rows(of_a, of_b)
        sample = self.target[known], self.groups[known], self.fold[known]
        differences = list(fold_differences(self.score, *sample, of_a[known], of_b[known]))
        test = corrected_test(differences, len(np.unique(self.fold)))
        return None if test is None else test.to_json()


def row_figures(row: Row, full: Row, samples: Sequence[Sample]) -> dict[str, Any]:
    """One row of the table."""
    figures: dict[str, Any] = {"name": row.name, "title": row.title, "absent": None}
    for part in ("cross_validated", "hidden_test"):
        sample = next((one for one in samples if one.part == part), None)
        figures[part] = {
            "score": sample.score_of(row) if sample else None,
            "difference": sample.lead(row, full) if sample and row is not full else None,
            "told_apart": sample.told_apart(row, full) if sample and row is not full else None,
        }
    return figures


def absent_figures(name: str, title: str, reason: str) -> dict[str, Any]:
    """A row that this recipe cannot have, and why."""
    nothing = {"score": None, "difference": None, "told_apart": None}
    return {"name": name, "title": title, "absent": reason, "cross_validated": nothing, "hidden_test": nothing}


def order_figures(rows: Sequence[Row], sample: Sample) -> dict[str, Any] | None:
    """Whether full > metadata only > image only, step by step; None where one of the three is missing."""
    by_name = {row.name: row for row in rows}
    if not set(ORDER) <= by_name.keys():
        return None
    steps = []
    for better, worse in pairwise(ORDER):
        lead = sample.lead(by_name[better], by_name[worse])
        if lead is None:
            return None
        steps.append({"better": by_name[better].title, "worse": by_name[worse].title, "lead": lead})
    return {"steps": steps, "verdict": verdict([step["lead"] for step in steps])}


def verdict(leads: Sequence[Any]) -> str:
    """`holds` needs every interval above 0; `leaning` only the estimates."""
    if any(lead["estimate"] <= 0 for lead in leads):
        return "does not hold"
    return "holds" if all(lead["low"] > 0 for lead in leads) else "leaning"


def refuse_unknown(wanted: Sequence[str], known: Sequence[str]) -> None:
    """The user's choice of rows must exist."""
    strange = [name for name in wanted if name not in known]
    if strange:
        raise DataError(f"--only {strange[0]}: there is no such row; there are {', '.join(known)}")
