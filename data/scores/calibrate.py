"""How a calibrator is fitted, and chosen: the one whose probabilities surprise least on lesions it has not seen.

Resampled training makes every probability too high, and by the same factor in odds if the models are perfect. `prior`
corrects that alone; `platt` also how far the probabilities are spread; `beta` lets both ends differ; `isotonic` takes
any rising form, which needs many positives. Numpy only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.scores.calibration import log_loss
from data.scores.calibrators import Calibrator, LogOddsCurve, Temperature, log_odds, logarithms
from data.scores.isotonic import fit_steps
from data.scores.logistic import fit_logistic
from data.scores.ranking import Floats, Ints

Method = Literal["prior", "platt", "beta", "isotonic"]
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


METHODS: Mapping[Method, Callable[[Ints, Floats], Calibrator | None]] = {
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
    """Cross-fitted, by method; `as_given`: of the scores themselves."""


def calibrate(target: Ints, score: Floats, fold: Ints, method: Method | Literal["auto"] = "auto") -> Calibration:
    """Fit on all lesions by the method that does best on folds it was not fitted on (`auto`), or by the one named.

    `fold` keeps the lesions of a patient together. A method that finds nothing rising stands back for `prior`.
    """
    if score.ndim == 2:
        return _calibrate_classes(target, score, fold)
    wanted: list[Method] = list(METHODS) if method == "auto" else ["prior", method]
    columns = {
        name: column for name in wanted if (column := cross_fitted(METHODS[name], target, score, fold)) is not None
    }
    losses = {name: log_loss(target, column) for name, column in columns.items()}
    chosen = method if method != "auto" and method in columns else min(losses, key=losses.__getitem__)
    calibrator = METHODS[chosen](target, score)
    if calibrator is None:
        chosen, calibrator = "prior", fit_prior(target, score)
    return Calibration(
        calibrator,
        columns[chosen],
        {"as_given": log_loss(target, score)} | {str(name): loss for name, loss in losses.items()},
    )


def cross_fitted(
    fit: Callable[[Ints, Floats], Calibrator | None], target: Ints, score: Floats, fold: Ints
) -> Floats | None:
    """Each fold's scores by a calibrator fitted on the other folds; None where one of these finds nothing rising.

    With one fold there is no other: its scores stay as they are.
    """
    result = np.array(score, dtype=np.float64)
    for one in np.unique(fold):
        inside = fold == one
        if inside.all():
            break
        calibrator = fit(target[~inside], score[~inside])
        if calibrator is None:
            return None
        result[inside] = calibrator.apply(score[inside])
    return result


def _calibrate_classes(target: Ints, probability: Floats, fold: Ints) -> Calibration:
    """One temperature for all classes."""
    column = cross_fitted(fit_temperature, target, probability, fold)
    assert column is not None
    losses = {"as_given": log_loss(target, probability), "temperature": log_loss(target, column)}
    return Calibration(fit_temperature(target, probability), column, losses)


def fit_temperature(target: Ints, probability: Floats) -> Calibrator:
    """The temperature that surprises least."""
    losses = [log_loss(target, Temperature(float(one)).apply(probability)) for one in TEMPERATURES]
    return Calibrator("temperature", (Temperature(float(TEMPERATURES[int(np.argmin(losses))])),))
