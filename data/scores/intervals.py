"""Confidence intervals of scores by bootstrap over patients: whole patients are drawn, never single lesions.

Lesions of one patient are alike, so resampling rows would promise more than the data know. How a score is computed
on drawn patients, fast, is in `replicates.py`. Numpy only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.scores.calibration import gaps_of_rows
from data.scores.ranking import Floats, Ints, UndefinedScoreError, Values
from data.scores.replicates import scorers_of
from data.scores.scores import score_of


@dataclass(frozen=True)
class Interval:
    """A score (or a difference of two) with the range its patients leave it."""

    low: float
    high: float
    estimate: float
    """On all lesions, not the mean of the replicates."""
    replicates: int
    """Replicates asked for."""
    n_invalid: int
    """Replicates in which the score is undefined (no positives drawn); they do not count towards the range."""
    confidence: float = 0.95

    @property
    def figures(self) -> dict[str, float]:
        """As JSON holds it."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.estimate:.4f} ({100 * self.confidence:g} % {self.low:.4f} to {self.high:.4f})"


def block_size(n_groups: int) -> int:
    """Replicates drawn together: 40 MB a block, and at most 50 so that few replicates do not draw many."""
    return max(1, min(50, 5_000_000 // n_groups))


def block_count(n_groups: int, replicates: int) -> int:
    """Blocks that hold so many replicates."""
    return -(-replicates // block_size(n_groups))


def drawn_patients(n_groups: int, replicates: int, seed: int, blocks: range | None = None) -> Iterator[Ints]:
    """Yield blocks (replicates in it, n_groups) of patient codes, each row one draw of n_groups with replacement.

    Each block has a random stream of its own, so it can be made alone, on any machine, with the same result.
    """
    size = block_size(n_groups)
    for block in range(block_count(n_groups, replicates)) if blocks is None else blocks:
        # Always a full block, so that more replicates extend the fewer instead of changing them.
        drawn = np.random.default_rng([seed, block]).integers(0, n_groups, size=(size, n_groups))
        yield drawn[: replicates - block * size]


def times_drawn(drawn: Ints) -> Ints:
    """How often each patient was drawn in each replicate: (replicates, n_groups)."""
    n_replicates, n_groups = drawn.shape
    flat = drawn + n_groups * np.arange(n_replicates)[:, None]
    return np.bincount(flat.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.int64)


def replicate_scores(
    target: Values,
    probability: Values,
    group: Values,
    *,
    score: str = "pauc",
    replicates: int = 1000,
    seed: int = 0,
    blocks: range | None = None,
) -> Floats:
    """Score of every replicate (of some blocks of them alone), NaN where it is undefined.

    The same groups and seed draw the same patients, whatever the probabilities and the order of the rows, so the
    replicates of two models can be subtracted.
    """
    return replicates_of_scores(
        target, probability, group, scores=(score,), replicates=replicates, seed=seed, blocks=blocks
    )[score]


def replicates_of_scores(
    target: Values,
    probability: Values,
    group: Values,
    *,
    scores: Sequence[str],
    replicates: int = 1000,
    seed: int = 0,
    blocks: range | None = None,
) -> dict[str, Floats]:
    """The same for several scores on the same drawn patients, by name."""
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    names, group_code = np.unique(np.asarray(group), return_inverse=True)
    scorers = scorers_of(scores, target, probability, group_code.astype(np.int64))
    drawn = [scorers(times_drawn(draws)) for draws in drawn_patients(len(names), replicates, seed, blocks)]
    return {score: np.concatenate([block[score] for block in drawn]) for score in scores}


def interval_of(scores: Floats, estimate: float, confidence: float = 0.95) -> Interval:
    """Percentile interval of replicate scores, leaving out the undefined ones."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    valid = scores[~np.isnan(scores)]
    if not valid.size:
        raise UndefinedScoreError(f"the score is undefined in all {scores.size} replicates: too few positives")
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(valid, [tail, 1.0 - tail])
    return Interval(float(low), float(high), estimate, scores.size, scores.size - valid.size, confidence)


def interval_of_calibration_error(
    target: Values, probability: Values, group: Values, *, replicates: int = 1000, seed: int = 0
) -> Interval:
    """The calibration error with its percentile interval; the bins stay those of all lesions."""
    gap, bin_of, weight = gaps_of_rows(target, probability)
    names, patient = np.unique(np.asarray(group), return_inverse=True)
    bins = int(bin_of.max()) + 1
    gaps = np.bincount(patient * bins + bin_of, gap, minlength=len(names) * bins).reshape(-1, bins)
    rows = np.bincount(patient)
    drawn = [times_drawn(draws) for draws in drawn_patients(len(names), replicates, seed)]
    found = np.concatenate([np.abs(times @ gaps).sum(axis=1) / (times @ rows) for times in drawn])
    return interval_of(found, float(np.abs(gaps.sum(axis=0)).sum() / weight.sum()))


def bootstrap(
    target: Values,
    probability: Values,
    group: Values,
    *,
    score: str = "pauc",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the score with its percentile interval over resampled groups (patients)."""
    scores = replicate_scores(target, probability, group, score=score, replicates=replicates, seed=seed)
    return interval_of(scores, score_of(score, target, probability, group), confidence)


def paired_bootstrap(
    target: Values,
    a: Values,
    b: Values,
    group: Values,
    *,
    score: str = "pauc",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Score of `a` minus score of `b`, with the interval of that difference over the same resampled patients."""
    of_a = replicate_scores(target, a, group, score=score, replicates=replicates, seed=seed)
    of_b = replicate_scores(target, b, group, score=score, replicates=replicates, seed=seed)
    difference = score_of(score, target, a, group) - score_of(score, target, b, group)
    return interval_of(of_a - of_b, difference, confidence)
