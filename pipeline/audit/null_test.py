"""The null test: with labels dealt to other patients, whatever an experiment does must score what chance scores.

An experiment is a function of the dealt labels; the whole pipeline is one (`experiment.py`), any protocol of splitting
and training another. What chance scores is measured, not assumed: the same predictions are scored on many other deals.
That counts in what the textbook's 0.02 leaves out: few positives (the mean of a partial area lies above its area on
the mean curve), clumped labels, ties, and folds that differ in their share of positives.

The rule: each column's score, averaged over the draws, is put in standard deviations of its own deals; the largest
distance over the columns, in either direction, is ranked among the largest distances of the deals. The whole table
raises a false alarm with a probability of at most `alarm` (0.01), however many columns there are and however alike.

Out-of-fold scores vary more than deals do. What lesions i and j of two folds have in common counts twice, once when the
model that saw i is scored on j and once the other way round, and deals break the two apart because the models stay
as they are. Two equal terms have twice the variance of two independent ones: deviations of the deals are therefore
widened by the root of two, exact for learners in which both terms are equal (linear ones) and too wide for all others.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.progress import Progress, silent
from data.scores import scores
from data.scores.intervals import replicate_scores
from pipeline.audit.deal import Ints, coded, deal, deals_like
from pipeline.scoring import CHANCE, known_rows

Floats = npt.NDArray[np.float64]

POOL = 2000
"""Deals that the comparison draws from."""

ROOT_OF_TWO = math.sqrt(2.0)


@dataclass(frozen=True)
class Outcome:
    """What one experiment said about the lesions it scored; all arrays aligned."""

    rows: Ints
    """Which lesions they are, as rows of the cohort (copies of a lesion: its row again)."""
    fold: Ints
    """Lesions of one fold (or of the one scored part) were predicted by models that share their training lesions."""
    columns: Mapping[str, Floats]
    """Probabilities: one per lesion, or (several classes) one row per lesion; NaN where there is none."""


Experiment = Callable[[Ints, int], Outcome]
"""`experiment(giver, draw)`: lesion i is to be given the label of row `giver[i]`; `draw` counts from 0."""


@dataclass(frozen=True)
class NullColumn:
    """One probability column under dealt labels."""

    name: str
    score: float
    """Mean over the draws."""
    by_draw: tuple[float, ...]
    low: float
    high: float
    """95 % over patients, of the mean over the draws."""
    chance: float
    """Mean over the deals: what chance scores with these predictions and as many positives."""
    chance_low: float
    chance_high: float
    """The middle 99 % of the widened deals."""
    distance: float
    """(score - chance) in standard deviations of the deals."""
    p: float
    """Chance that any column of the table lies as far off, if nothing leaks."""


@dataclass(frozen=True)
class NullTest:
    """A finished null test."""

    score: str
    draws: int
    deals: int
    alarm: float
    columns: tuple[NullColumn, ...]

    @property
    def p(self) -> float:
        """The smallest p, which already accounts for the number of columns."""
        return min(column.p for column in self.columns)

    @property
    def passed(self) -> bool:
        """True when no column is farther from chance than the rule allows."""
        return self.p > self.alarm

    @property
    def farthest(self) -> NullColumn:
        """The column that lies farthest from chance."""
        return max(self.columns, key=lambda column: abs(column.distance))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "p": self.p, "passed": self.passed, "textbook_chance": CHANCE.get(self.score)}


def null_test(
    experiment: Experiment,
    target: Ints,
    groups: npt.ArrayLike,
    *,
    draws: int,
    seed: int,
    score: str = "pauc",
    deals: int = 999,
    alarm: float = 0.01,
    progress: Progress = silent,
) -> NullTest:
    """Run the experiment on `draws` deals of the labels `target` of the patients `groups`; compare with chance."""
    if draws < 1:
        raise DataError(f"a null test needs one draw at least, got {draws}")
    patients = np.asarray(groups)
    finished = []
    progress(0, draws)
    for draw in range(draws):
        giver = deal(patients, np.random.default_rng([seed, 0, draw]))
        finished.append((giver, experiment(giver, draw)))
        progress(draw + 1, draws)
    return judged(finished, target, patients, seed=seed, score=score, deals=deals, alarm=alarm)


def judged(
    finished: Sequence[tuple[Ints, Outcome]],
    target: Ints,
    groups: npt.NDArray[Any],
    *,
    seed: int,
    score: str,
    deals: int,
    alarm: float,
) -> NullTest:
    """Compare finished experiments, each with the deal that it was given, with chance."""
    needed = math.ceil(1 / alarm) - 1
    if deals < needed:
        raise DataError(f"false alarms in {alarm:g} of tables take {needed} deals at least, got {deals}")
    rng = np.random.default_rng([seed, 1])
    codes = coded(groups)
    pool = np.stack([target[deal(codes, rng)] for _ in range(POOL)])
    outcomes = [Labelled(target[giver][one.rows], codes[one.rows], one.columns) for giver, one in finished]
    names = list(outcomes[0].columns)
    observed = np.array(
        [[score_of(score, one.target, one.columns[name], one.groups) for name in names] for one in outcomes]
    )
    dealt = np.zeros((deals, len(names)))
    for (_, run), one in zip(finished, outcomes, strict=True):
        for number, labels in enumerate(deals_like(one.target, run.rows, run.fold, pool, deals, rng)):
            dealt[number] += [score_of(score, labels, one.columns[name], one.groups) for name in names]
    dealt /= len(outcomes)
    cross_validated = any(len(np.unique(one.fold)) > 1 for _, one in finished)
    dealt = dealt.mean(axis=0) + (dealt - dealt.mean(axis=0)) * (ROOT_OF_TWO if cross_validated else 1.0)
    # The observed row stands among the deals: if nothing leaks it is one of them, and each rank is as likely.
    rows = np.vstack([observed.mean(axis=0), dealt])
    spread = dealt.std(axis=0)
    distance = np.divide(rows - dealt.mean(axis=0), spread, out=np.zeros_like(rows), where=spread > 0)
    largest = np.abs(distance).max(axis=1)
    columns = []
    for i, name in enumerate(names):
        chance = dealt[:, i]
        low, high = patient_interval(score, outcomes, name, seed)
        columns.append(
            NullColumn(
                name=name,
                score=float(rows[0, i]),
                by_draw=tuple(observed[:, i].tolist()),
                low=low,
                high=high,
                chance=float(chance.mean()),
                chance_low=float(np.quantile(chance, 0.005)),
                chance_high=float(np.quantile(chance, 0.995)),
                distance=float(distance[0, i]),
                p=float(np.mean(largest >= abs(distance[0, i]))),
            )
        )
    return NullTest(score, len(outcomes), deals, alarm, tuple(columns))


@dataclass(frozen=True)
class Labelled:
    """Scored lesions with the labels of one deal."""

    target: Ints
    groups: npt.NDArray[Any]
    columns: Mapping[str, Floats]


def score_of(score: str, target: Ints, column: Floats, groups: npt.NDArray[Any]) -> float:
    """Score of the lesions that have a probability."""
    known, column = known_rows(column)
    return scores.score_of(score, target[known], column[known], groups[known])


def patient_interval(score: str, outcomes: Sequence[Labelled], name: str, seed: int) -> tuple[float, float]:
    """95 % over patients of the mean over the draws: each replicate draws the same patients in every draw."""
    replicates = []
    for one in outcomes:
        known, column = known_rows(one.columns[name])
        sample = one.target[known], column[known], one.groups[known]
        replicates.append(replicate_scores(*sample, score=score, seed=seed, replicates=500))
    found = np.mean(replicates, axis=0)
    low, high = np.quantile(found[np.isfinite(found)], [0.025, 0.975])
    return float(low), float(high)
