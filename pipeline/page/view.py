"""A view: the lesions of one table and what the run said of them, as columns that are searched, counted and sorted."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.images.sources import ImageSource
from features.columns import AGE, SITE
from pipeline.answers import Said
from pipeline.decision import Decision, percent
from pipeline.explain.population import Population, class_probability
from pipeline.page.measured import Measured, levels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
UNCERTAIN = "uncertain"
SITES, AGES, INSTITUTIONS = (SITE, "localization", "site"), (AGE, "age"), ("attribution", "institution")
"""Columns to filter by, the first that the data have."""
TAILS = (0.9, 0.99, 0.999)
"""Where colours change in a run without thresholds."""


@dataclass(frozen=True, eq=False)
class View:
    """One table of lesions. Rows are named by their place in it, never by an id."""

    key: str
    """In addresses and in the work list: `training`, `test`, or that of an upload."""
    title: str
    said: Said
    columns: dict[str, Floats]
    """What image models, members and the blend said, as far as it is kept."""
    calibrated: Floats
    """Calibrated probabilities; of several classes a column each."""
    decision: Decision
    images: ImageSource | None
    towards: int = 1
    """The class that makes a lesion suspicious."""
    measured: Measured | None = None
    population: Population | None = field(default=None, repr=False)
    """What explanations are asked of; None where models are not at hand."""

    @property
    def cohort(self) -> Cohort:
        """The table."""
        return self.said.cohort

    @cached_property
    def words(self) -> dict[str, str]:
        """What rows and groups are called."""
        return self.cohort.task.words

    @cached_property
    def score(self) -> Floats:
        """Suspicion of each lesion."""
        return class_probability(self.said.score, self.towards)

    @cached_property
    def probability(self) -> Floats:
        """The same, calibrated."""
        return class_probability(self.calibrated, self.towards)

    @cached_property
    def lesions(self) -> pl.DataFrame:
        """What lists are made from: a row each, in the order of the table."""
        table, task = self.cohort.table, self.cohort.task
        patients = table[task.group].cast(pl.String)
        numbers = [pl.col(name).cast(pl.Float64) for name in self.decision.seen.numbers if name in table.columns]
        gap = table.select(pl.any_horizontal(~one.is_finite().fill_null(False) for one in numbers)) if numbers else None
        calls = np.asarray(self.decision.sets.calls(self.said.score, task.classes)) == UNCERTAIN
        frame = pl.DataFrame(
            {
                "row": np.arange(len(table), dtype=np.uint32),
                "patient": patients.rank("dense").cast(pl.UInt32) - 1,
                "name": patients,
                "lesion": table[task.lesion].cast(pl.String),
                "score": pl.Series(self.score).fill_nan(None),
                "uncertain": calls,
                "missing": self.said.without_image | (gap.to_series().to_numpy() if gap is not None else False),
            }
        )
        extra = {"site": SITES, "age": AGES, "institution": INSTITUTIONS}
        found = {new: self.first_of(names) for new, names in extra.items()}
        kinds = {"age": pl.Float64}
        return frame.with_columns(
            table[name].cast(kinds.get(new, pl.Categorical)).alias(new) for new, name in found.items() if name
        )

    def first_of(self, names: tuple[str, ...]) -> str | None:
        """The first of some columns that the table has."""
        return next((name for name in names if name in self.cohort.table.columns), None)

    @cached_property
    def _in_order(self) -> tuple[Ints, Ints]:
        """Rows by patient, the most suspicious first, and where each patient begins."""
        patient = self.lesions["patient"].to_numpy().astype(np.int64)
        order = np.lexsort((-np.nan_to_num(self.score, nan=-1.0), patient))
        starts = np.searchsorted(patient[order], np.arange(patient.max(initial=-1) + 2))
        return order.astype(np.int64), starts.astype(np.int64)

    @property
    def patient_count(self) -> int:
        """How many there are."""
        return len(self._in_order[1]) - 1

    def rows_of(self, patient: int) -> Ints:
        """A patient's rows, the most suspicious first; IndexError where there is no such patient."""
        order, starts = self._in_order
        if not 0 <= patient < len(starts) - 1:
            raise IndexError(patient)
        return order[starts[patient] : starts[patient + 1]]

    @cached_property
    def levels(self) -> list[dict[str, Any]]:
        """Places of the threshold control."""
        best = self.lesions.group_by("patient").agg(pl.col("score").max())["score"]
        found = levels(self.score, best.fill_null(float("nan")).to_numpy(), self.decision, self.measured)
        if self.said.score.ndim == 1 and found:
            shown = self.decision.calibrator.apply(np.array([one["score"] for one in found]))
            found = [one | {"probability": float(value)} for one, value in zip(found, shown, strict=True)]
        return found

    @cached_property
    def usual_level(self) -> int:
        """Where the control stands at first: at the first kept threshold, else at a lesion for each patient."""
        kept = [place for place, one in enumerate(self.levels) if one["kept"]]
        many = [place for place, one in enumerate(self.levels) if one["lesions"] >= self.patient_count]
        return (kept or many or [0])[0]

    @cached_property
    def scale(self) -> tuple[list[float], list[str]]:
        """Scores at which a colour begins, and what each colour means, the first for all below."""
        kept = [(one.threshold, one.target) for one in reversed(self.decision.thresholds) if one.threshold is not None]
        if kept:
            return [one[0] for one in kept], [
                "below all thresholds",
                *(f"above the threshold for {percent(target)} sensitivity" for _, target in kept),
            ]
        known = self.score[np.isfinite(self.score)]
        ends = np.quantile(known, TAILS) if len(known) else np.array(TAILS)
        return [float(one) for one in ends], ["the lower nine tenths", "highest tenth", "1 in 100", "1 in 1,000"]

    def warm(self) -> "View":
        """Count and sort now, so that nobody waits for it."""
        assert self.scale is not None
        assert self.patient_count >= 0
        assert self.levels is not None
        return self

    def risk(self, rows: Ints) -> list[int]:
        """The colour of some lesions."""
        score = np.nan_to_num(self.score[rows], nan=-1.0)
        return [int(one) for one in np.sum(score[:, None] >= np.array(self.scale[0])[None], axis=1)]

    def has_image(self, row: int) -> bool:
        """Whether there is anything to show."""
        return self.images is not None and not bool(self.said.without_image[row])
