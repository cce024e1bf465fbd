"""One factor per class that makes a blend's calls score the most macro F1 or balanced accuracy.

Calling the likeliest class is best for accuracy, and a rare class is then hardly ever the likeliest. These two scores
count every class the same: probabilities are multiplied by a factor per class (as if the classes had other priors) and
sum to one again. The ranking within a class changes little, its calls a lot.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from data.scores.multiclass import mean_f1, mean_recall
from data.scores.ranking import Floats, Ints

Calls = Literal["likeliest", "macro_f1", "balanced_accuracy"]

STEPS: Floats = np.geomspace(0.25, 4.0, 9)
"""Changes of a factor that are tried; few and coarse, because a rare class has a handful of lesions."""
ROUNDS = 3
"""Times that every class is looked at."""
LEAST_GAIN = 1e-3
"""A change must gain so much: anything less is chance."""


def class_factors(probability: Floats, target: Ints, calls: Calls) -> tuple[float, ...]:
    """Factors found one class at a time, the commonest first; rows with a missing probability are left out.

    The search starts from equal factors or from classes of equal weight (one over a class's share, what the recall of
    calibrated probabilities wants), whichever scores more.
    """
    known = np.isfinite(probability).all(axis=1)
    probability, target = probability[known], target[known]
    counts = np.bincount(target, minlength=probability.shape[1])
    score = SCORES_OF_CALLS[calls]
    starts = (np.ones(len(counts)), len(target) / np.maximum(counts, 1))
    best, _, factors = max((score(probability * start, target), -place, start) for place, start in enumerate(starts))
    for _ in range(ROUNDS):
        before = best
        for label in np.argsort(-counts, kind="stable"):
            tried = [factors[label] * step for step in STEPS]
            scores = [score(probability * replaced(factors, label, value), target) for value in tried]
            place = int(np.argmax(scores))
            if scores[place] > best + LEAST_GAIN:
                best = scores[place]
                factors = replaced(factors, label, tried[place])
        if best == before:
            break
    return tuple((factors / factors.mean()).tolist())


def reweighted(probability: Floats, factors: tuple[float, ...]) -> Floats:
    """Probabilities under the factors, each row summing to one."""
    product = probability * np.asarray(factors)
    return np.asarray(product / product.sum(axis=1, keepdims=True), dtype=np.float64)


def replaced(factors: Floats, label: int, value: float) -> Floats:
    """The factors with one of them changed."""
    changed = factors.copy()
    changed[label] = value
    return changed


def calls_scored(score: Callable[[Ints, Ints, Ints], float], probability: Floats, target: Ints) -> float:
    """A score of the likeliest class of each row, from the counts that it takes."""
    classes, called = probability.shape[1], probability.argmax(axis=1)
    counted = (np.bincount(rows, minlength=classes) for rows in (target[called == target], target, called))
    return score(*counted)


SCORES_OF_CALLS = {"macro_f1": partial(calls_scored, mean_f1), "balanced_accuracy": partial(calls_scored, mean_recall)}
