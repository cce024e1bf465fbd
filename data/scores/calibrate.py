"""How a calibrator is fitted, and chosen: the one whose probabilities surprise least on lesions it has not seen.

Resampled training makes every probability too high, and by the same factor in odds if the models are perfect. `prior`
corrects that alone; `platt` also how far the probabilities are spread; `beta` lets both ends differ; `isotonic` takes
any rising form, which needs many positives. Numpy only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from data.scores.calibration import log_loss
from data.scores.calibrators import Calibrator, LogOddsCurve, StepCurve, Temperature, log_odds, logarithms
from data.scores.logistic import fit_logistic
from data.scores.ranking import Floats, Ints

Method = Literal["prior", "platt", "beta", "isotonic"]
Fit = Callable[[Ints, Floats], Calibrator | None]
Rows = npt.NDArray[np.bool_]


class Applied(Protocol):
    """What makes something of scores: a curve, a threshold, a rule for sets."""

    def apply(self, score: Floats, /) -> npt.NDArray[Any]:
        """One entry, or one row, for each lesion."""
        ...


TEMPERATURES = np.geomspace(0.1, 10.0, 201)
"""Tried for many classes, a fortieth apart."""


def believed(target: Ints) -> Floats:
    """Platt's answers: not 0 and 1, but what as many lesions allow to believe, (n + 1) / (n + 2) and 1 / (n + 2)."""
    positives = int(target.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(target) - positives + 2)
    return np.where(target == 1, high, low)


def fit_prior(target: Ints, score: Floats) -> Calibrator:
    """One number: how far all log-odds are moved."""
    fit = fit_logistic(np.ones((len(score), 1)), believed(target), offset=log_odds(score))
    return Calibrator("prior", (LogOddsCurve(1.0, 1.0, float(fit.coefficients[0])),))


def fit_platt(target: Ints, score: Floats) -> Calibrator | None:
    """Two numbers: how far, and how much wider or narrower; None where higher scores are not more often positive."""
    fit = fit_logistic(np.column_stack([log_odds(score), np.ones(len(score))]), believed(target))
    slope, shift = (float(one) for one in fit.coefficients)
    return Calibrator("platt", (LogOddsCurve(slope, slope, shift),)) if slope > 0 else None


def fit_beta(target: Ints, score: Floats) -> Calibrator | None:
    """Three numbers; an end that would fall is left out. None where nothing rises."""
    up, down = logarithms(score)
    ends = {"rise": up, "fall": -down}
    while ends:
        fit = fit_logistic(np.column_stack([*ends.values(), np.ones(len(score))]), believed(target))
        found = dict(zip([*ends, "shift"], map(float, fit.coefficients), strict=True))
        falling = min(ends, key=found.__getitem__)
        if found[falling] > 0:
            return Calibrator("beta", (LogOddsCurve(**{"rise": 0.0, "fall": 0.0, **found}),))
        del ends[falling]
    return None


def fit_isotonic(target: Ints, score: Floats) -> Calibrator:
    """Steps."""
    return Calibrator("isotonic", (fit_steps(target.astype(np.float64), score),))


METHODS: Mapping[str, Fit] = {
    "prior": fit_prior,
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}
"""Simplest first: of two that surprise as little, the first is taken."""


@dataclass(frozen=True)
class Calibration:
    """The calibrator for new lesions, and what it would have said of the known ones without having seen them."""

    calibrator: Calibrator
    cross_fitted: Floats
    log_loss: dict[str, float]
    """By method, on folds that it was not fitted on; empty where there was nothing to choose from."""


def calibrate(target: Ints, score: Floats, fold: Ints, method: Method | Literal["auto"] = "auto") -> Calibration:
    """Fit on all lesions by the method that does best on folds it was not fitted on (`auto`), or by the one named.

    `fold` keeps the lesions of a patient together. What is said of a fold's lesions is chosen and fitted without them:
    `auto` chooses anew among the other folds each time, so that no label has a say in its own probability.
    """
    if score.ndim == 2:
        fits: Mapping[str, Fit] = {"temperature": fit_temperature}
    else:
        fits = METHODS if method == "auto" else {method: METHODS[method]}
    column = cross_fitted(lambda rows: chosen(fits, target[rows], score[rows], fold[rows])[0], score, fold)
    assert column is not None
    calibrator, losses = chosen(fits, target, score, fold)
    return Calibration(calibrator, column, losses)


def chosen(fits: Mapping[str, Fit], target: Ints, score: Floats, fold: Ints) -> tuple[Calibrator, dict[str, float]]:
    """The best method fitted on all of these lesions, and the losses by which it was chosen.

    Where it finds nothing rising, `prior` stands in.
    """
    losses = judged(fits, target, score, fold) if len(fits) > 1 else {}
    found = fits[min(losses or fits, key=lambda name: losses.get(name, 0.0))](target, score)
    return fit_prior(target, score) if found is None else found, losses


def judged(fits: Mapping[str, Fit], target: Ints, score: Floats, fold: Ints) -> dict[str, float]:
    """The log loss of each method on folds that it was not fitted on, of those that always find something rising."""
    losses = {}
    for name, fit in fits.items():
        column = cross_fitted(partial(fitted_on, fit, target, score), score, fold)
        if column is not None:
            losses[name] = log_loss(target, column)
    return losses


def fitted_on(fit: Fit, target: Ints, score: Floats, rows: Rows) -> Calibrator | None:
    """A method fitted on some of the lesions."""
    return fit(target[rows], score[rows])


def cross_fitted(fit: Callable[[Rows], Applied | None], score: Floats, part: Ints) -> Floats | None:
    """The scores of each part of the lesions by what was fitted on the rows of the others; None where that found none.

    With one part there is no other: its scores stay as they are.
    """
    places, said = [], []
    for one in np.unique(part):
        inside = part == one
        if inside.all():
            return np.array(score, dtype=np.float64)
        found = fit(~inside)
        if found is None:
            return None
        places.append(np.flatnonzero(inside))
        said.append(found.apply(score[inside]))
    return np.concatenate(said)[np.argsort(np.concatenate(places))]


def fit_temperature(target: Ints, probability: Floats) -> Calibrator:
    """The temperature that surprises least."""
    losses = [log_loss(target, Temperature(float(one)).apply(probability)) for one in TEMPERATURES]
    return Calibrator("temperature", (Temperature(float(TEMPERATURES[int(np.argmin(losses))])),))


def fit_steps(target: Floats, score: Floats) -> StepCurve:
    """Fit the steps (pool adjacent violators).

    No step is surer than the number of lesions allows: with n of them, none below 1 / (n + 2) or as far above the other
    end, because nobody has seen that an answer is certain. The fit can only step up where a positive stands, so it
    works on as many blocks as there are distinct scores of positives.
    """
    order = np.argsort(score, kind="stable")
    x, y = score[order], target[order]
    levels = np.unique(x[y > 0])
    starts = np.searchsorted(x, np.append(-np.inf, levels), side="left")
    starts = np.unique(starts[starts < len(x)])
    ends = np.append(starts[1:], len(x))
    positives = np.diff(np.append(0.0, np.cumsum(y)[ends - 1]))
    steps: list[tuple[float, int, int]] = []
    for found, start, end in zip(positives.tolist(), starts.tolist(), ends.tolist(), strict=True):
        while steps and steps[-1][0] * (end - start) >= found * (steps[-1][2] - steps[-1][1]):
            before = steps.pop()
            found, start = found + before[0], before[1]
        steps.append((found, start, end))
    least = 1.0 / (len(x) + 2)
    points = [(x[at], min(max(found / (end - start), least), 1 - least))
              for found, start, end in steps for at in sorted({start, end - 1})]  # fmt: skip
    return StepCurve(*(tuple(float(value) for value in column) for column in zip(*points, strict=True)))
