"""Scores of a ranking: pAUC above a sensitivity, AUC, average precision, and the threshold that reaches a sensitivity.

All rest on one fact: a ROC curve only turns where a positive stands. Sorting the (few) positives and counting the
negatives between them is enough, and the bootstrap in `intervals.py` reuses those counts. Numpy only.
Scores of classes and of calibration are in `scores.py`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.ArrayLike
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MIN_TPR = 0.80
"""Sensitivity above which ISIC 2024 scores."""


class UndefinedScoreError(ValueError):
    """This sample does not define the score (one class only): other samples of the same lesions may."""


@dataclass(frozen=True)
class Binary:
    """A checked binary sample; rows of weight zero are gone."""

    positive: npt.NDArray[np.bool_]
    probability: Floats
    weight: Floats | None


def checked_binary(target: Values, probability: Values, weight: Values | None = None) -> Binary:
    """Check one sample: equal lengths, targets 0 or 1, finite numbers, weights not negative."""
    y = np.asarray(target)
    p = np.asarray(probability, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"target {y.shape} and probability {p.shape} must be one-dimensional and of one length")
    positive = y == 1
    if not np.all(positive | (y == 0)):
        raise ValueError(f"target must be 0 or 1, found {np.setdiff1d(y, [0, 1])[:5].tolist()}")
    if not np.all(np.isfinite(p)):
        raise ValueError(f"{np.count_nonzero(~np.isfinite(p))} of {p.size} probabilities are missing or infinite")
    if weight is None:
        return Binary(positive, p, None)
    w = checked_weight(weight, len(y))
    kept = w > 0
    return Binary(positive[kept], p[kept], w[kept])


def checked_weight(weight: Values, rows: int) -> Floats:
    """One weight for each row, finite and not negative."""
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (rows,) or not np.all(np.isfinite(w)) or np.any(w < 0):
        raise ValueError("weight must hold one finite number >= 0 for each row")
    return w


def require_both_classes(sample: Binary) -> None:
    """Raise where a score compares positives with negatives and one kind is absent."""
    n_positive = int(np.count_nonzero(sample.positive))
    if n_positive in (0, sample.positive.size):
        raise UndefinedScoreError(
            f"the score needs both classes, found {n_positive} positives in {sample.positive.size} rows"
        )


@dataclass(frozen=True)
class RocSteps:
    """Where the rows stand among the distinct scores of the positives, lowest first.

    A negative's slot is 2k when it lies below the k-th distinct positive score (and above the one before), 2k + 1
    when it ties with it, and 2m when it lies above all m of them.
    """

    levels: Floats
    """The m distinct scores of positives, ascending."""
    positive_level: Ints
    """For each positive row, in row order, the index of its score in `levels`."""
    negative_slot: Ints
    """For each negative row, in row order, its slot."""


def steps_of(positive: npt.NDArray[np.bool_], probability: Floats) -> RocSteps:
    """Place every row among the distinct scores of the positives."""
    levels, positive_level = np.unique(probability[positive], return_inverse=True)
    negatives = probability[~positive]
    below = np.searchsorted(levels, negatives, side="left")
    tied = levels[np.minimum(below, levels.size - 1)] == negatives
    slot = 2 * below + (tied & (below < levels.size))
    return RocSteps(levels, positive_level.astype(np.int64), slot.astype(np.int64))


def area_above(positives_at: Floats, negatives_in: Floats, n_negative: Floats, missed: float) -> Floats:
    """Area between the ROC curve and the line FPR = 1 where at most the share `missed` of positives is lost.

    `positives_at` (..., m) holds the positives' weight at each level, `negatives_in` (..., >= 2m) the negatives'
    weight in each slot; leading axes are replicates. Going up the scores, x is the share of positives lost and y the
    share of negatives cleared. Within a level both grow together, so y is linear in x there (ties count half) and
    the area is closed-form. `missed` = 1 gives the AUC.
    """
    m = positives_at.shape[-1]
    width = positives_at / positives_at.sum(axis=-1, keepdims=True)
    left = np.cumsum(width, axis=-1) - width
    cleared = np.cumsum(negatives_in[..., : 2 * m], axis=-1) / n_negative[..., None]
    below, upto = cleared[..., 0::2], cleared[..., 1::2]
    covered = np.clip(missed - left, 0.0, width)
    part = np.divide(covered, width, out=np.zeros_like(width), where=width > 0)
    area: Floats = np.sum(covered * (below + (upto - below) * part / 2), axis=-1)
    return area


def precision_over_recall(positives_at: Floats, negatives_in: Floats, n_negative: Floats) -> Floats:
    """Average precision from the same counts as `area_above`: precision changes recall only where a positive stands."""
    m = positives_at.shape[-1]
    below = np.cumsum(negatives_in[..., : 2 * m], axis=-1)[..., 0::2]
    true = np.flip(np.cumsum(np.flip(positives_at, axis=-1), axis=-1), axis=-1)
    called = true + n_negative[..., None] - below
    precision = np.divide(true, called, out=np.zeros_like(called), where=positives_at > 0)
    mean: Floats = np.sum(positives_at * precision, axis=-1) / positives_at.sum(axis=-1)
    return mean


def counted(sample: Binary) -> tuple[Floats, Floats, Floats]:
    """Weight of positives at each level, of negatives in each slot, and of all negatives."""
    require_both_classes(sample)
    steps = steps_of(sample.positive, sample.probability)
    m = steps.levels.size
    of_positives, of_negatives = None, None
    if sample.weight is not None:
        of_positives, of_negatives = sample.weight[sample.positive], sample.weight[~sample.positive]
    at = np.bincount(steps.positive_level, of_positives, minlength=m).astype(np.float64)
    within = np.bincount(steps.negative_slot, of_negatives, minlength=2 * m + 1).astype(np.float64)
    return at, within, np.asarray(within.sum())


def pauc(target: Values, probability: Values, min_tpr: float = MIN_TPR, *, weight: Values | None = None) -> float:
    """Partial area under the ROC curve above `min_tpr` sensitivity, the score of ISIC 2024: 0 to 1 - min_tpr.

    A random ranking scores (1 - min_tpr)^2 / 2: 0.02 at 80 %.
    """
    if not 0.0 <= min_tpr < 1.0:
        raise ValueError(f"min_tpr must be in [0, 1), got {min_tpr}")
    return float(area_above(*counted(checked_binary(target, probability, weight)), 1.0 - min_tpr))


def auc(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Area under the ROC curve."""
    return float(area_above(*counted(checked_binary(target, probability, weight)), 1.0))


def _counts_from_top(sample: Binary) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, highest first, with the weight of positives and of negatives at or above each."""
    order = np.argsort(sample.probability)[::-1]
    score = sample.probability[order]
    last_of_score = np.append(np.flatnonzero(score[1:] != score[:-1]), score.size - 1)
    weight = np.ones(score.size) if sample.weight is None else sample.weight[order]
    positive = np.where(sample.positive[order], weight, 0.0)
    return score[last_of_score], np.cumsum(positive)[last_of_score], np.cumsum(weight - positive)[last_of_score]


def average_precision(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Mean precision over the recall steps (the area under the precision-recall curve without interpolation)."""
    return float(precision_over_recall(*counted(checked_binary(target, probability, weight))))


def roc_points(target: Values, probability: Values) -> tuple[Floats, Floats, Floats]:
    """False positive rate, sensitivity and threshold of every distinct score, from (0, 0, inf) to (1, 1, lowest)."""
    sample = checked_binary(target, probability)
    require_both_classes(sample)
    score, true, false = _counts_from_top(sample)
    return (
        np.append(0.0, false / false[-1]),
        np.append(0.0, true / true[-1]),
        np.append(np.inf, score),
    )


def threshold_at_sensitivity(
    target: Values, probability: Values, sensitivity: float, *, weight: Values | None = None
) -> float:
    """Return the highest threshold t such that calling every lesion with probability >= t reaches `sensitivity`."""
    return _at_sensitivity(checked_binary(target, probability, weight), sensitivity)[0]


def specificity_at_sensitivity(
    target: Values, probability: Values, sensitivity: float, *, weight: Values | None = None
) -> float:
    """Specificity at the highest threshold that reaches `sensitivity`."""
    return _at_sensitivity(checked_binary(target, probability, weight), sensitivity)[1]


def _at_sensitivity(sample: Binary, sensitivity: float) -> tuple[float, float]:
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(f"sensitivity must be in (0, 1], got {sensitivity}")
    require_both_classes(sample)
    score, true, false = _counts_from_top(sample)
    # 0.95 * 20 is 19 lesions, not 20, whatever the last bit of the product says.
    first = int(np.searchsorted(true, sensitivity * true[-1] * (1 - 1e-12)))
    return float(score[first]), float(1.0 - false[first] / false[-1])
