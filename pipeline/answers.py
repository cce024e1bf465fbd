"""The table that people get of new lesions: probability, rank within the patient, thresholds passed, doubts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.scores.top_k import TOP
from pipeline.decision import Decision
from pipeline.notes import notes_of

DIGITS = 4
"""Significant digits of a probability: more would be precision that no calibration has."""
IN_TOP = f"in_top_{TOP}"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """What the models said of new lesions."""

    cohort: Cohort
    score: Floats
    """The blend's."""
    without_image: npt.NDArray[np.bool_]
    """Lesions without an image that a model would have looked at."""


def answer_frame(said: Said, decision: Decision) -> pl.DataFrame:
    """One row a lesion, in the order of the table."""
    cohort, task = said.cohort, said.cohort.task
    probability = decision.calibrator.apply(said.score)
    keys = {task.group: cohort.groups.tolist(), task.lesion: cohort.ids.tolist()}
    columns = (
        two_class_columns(said, decision, probability)
        if said.score.ndim == 1
        else many_class_columns(said, probability)
    )
    frame = pl.DataFrame({**keys, **columns})
    call = pl.Series("call", decision.sets.calls(said.score, task.classes))
    lesions = pl.len().over(task.group)
    return frame.with_columns(
        call,
        comparable=lesions >= decision.seen.fewest_lesions,
        notes=notes_of(cohort, decision.seen, said.without_image),
    )


def two_class_columns(said: Said, decision: Decision, probability: Floats) -> dict[str, pl.Series]:
    """Probability and score, the place within the patient, and the thresholds passed."""
    frame = pl.DataFrame({"group": said.cohort.groups.tolist(), "score": said.score})
    placed = frame.select(
        rank=pl.col("score").rank("min", descending=True).over("group").cast(pl.Int64),
        lesions=pl.len().over("group").cast(pl.Int64),
    )
    return {
        "probability": rounded(probability),
        "score": frame["score"],
        "rank": placed["rank"],
        "lesions": placed["lesions"],
        "flagged_at": pl.Series(decision.flagged_at(said.score), dtype=pl.String),
        IN_TOP: placed["rank"] <= TOP,
    }


def many_class_columns(said: Said, probability: Floats) -> dict[str, pl.Series]:
    """The most probable class and the probability of each."""
    names = said.cohort.task.classes
    called = [names[place] for place in probability.argmax(axis=1).tolist()]
    return {
        "most_probable": pl.Series(called),
        **{name: rounded(probability[:, place]) for place, name in enumerate(names)},
    }


def rounded(probability: Floats) -> pl.Series:
    """Four significant digits."""
    return pl.Series(probability).round_sig_figs(DIGITS)
