"""From a score to a probability that can be taken at its word: curves that keep the order of lesions. Numpy only.

A calibrator is a chain of curves, plain numbers kept as JSON; how one is fitted and chosen is in `calibrate.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.errors import DataError
from data.scores.logistic import sigmoid
from data.scores.ranking import Floats

SMALLEST = 1e-9
"""Scores are cut here before their logarithm is taken."""


def logarithms(score: Floats) -> tuple[Floats, Floats]:
    """log(score) and log(1 - score), cut at both ends."""
    cut = np.clip(score, SMALLEST, 1.0 - SMALLEST)
    return np.log(cut), np.log1p(-cut)


def log_odds(score: Floats) -> Floats:
    """log(score / (1 - score)), cut at both ends."""
    up, down = logarithms(score)
    return np.asarray(up - down, dtype=np.float64)


@dataclass(frozen=True)
class LogOddsCurve:
    """log-odds = rise log(score) - fall log(1 - score) + shift; neither rise nor fall is negative.

    rise = fall = 1 moves all log-odds by `shift` (another share of positives), rise = fall is Platt's curve, and both
    free is the beta calibration.
    """

    rise: float
    fall: float
    shift: float

    def apply(self, score: Floats) -> Floats:
        """The probabilities of some scores."""
        up, down = logarithms(score)
        return sigmoid(self.rise * up - self.fall * down + self.shift)


@dataclass(frozen=True)
class StepCurve:
    """Steps that rise with the score, joined by straight lines; flat beyond both ends."""

    score: tuple[float, ...]
    probability: tuple[float, ...]

    def apply(self, score: Floats) -> Floats:
        """The probabilities of some scores."""
        return np.asarray(np.interp(score, self.score, self.probability), dtype=np.float64)


@dataclass(frozen=True)
class Temperature:
    """For many classes: every probability to the power 1 / temperature, then summed to one; the order stays."""

    temperature: float

    def apply(self, score: Floats) -> Floats:
        """The probabilities of lesions x classes."""
        warm = logarithms(score)[0] / self.temperature
        power = np.exp(warm - warm.max(axis=1, keepdims=True))
        return np.asarray(power / power.sum(axis=1, keepdims=True), dtype=np.float64)


Curve = LogOddsCurve | StepCurve | Temperature
CURVES: Mapping[str, type[Curve]] = {"log_odds": LogOddsCurve, "steps": StepCurve, "temperature": Temperature}


@dataclass(frozen=True)
class Calibrator:
    """Curves, one after the other."""

    method: str
    """How the (first) curve was made."""
    curves: tuple[Curve, ...]

    def apply(self, score: Floats) -> Floats:
        """Probabilities of some scores; NaN stays NaN."""
        value = np.asarray(score, dtype=np.float64)
        for curve in self.curves:
            value = curve.apply(value)
        return value

    def followed_by(self, curve: Curve) -> "Calibrator":
        """The same with one more curve."""
        return Calibrator(self.method, (*self.curves, curve))

    def to_json(self) -> dict[str, Any]:
        """For `data.files.write_json`."""
        kinds = {kind: name for name, kind in CURVES.items()}
        return {"method": self.method, "curves": [{"kind": kinds[type(one)], **asdict(one)} for one in self.curves]}

    @staticmethod
    def from_json(value: Any) -> "Calibrator":
        """Back from JSON; DataError when it is no calibrator."""
        try:
            return Calibrator(str(value["method"]), tuple(_curve(one) for one in value["curves"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this is not a stored calibrator ({error!r}); calibrate the run again") from error


def _curve(value: Mapping[str, Any]) -> Curve:
    """One curve, checked: it never falls."""
    facts = {name: of for name, of in value.items() if name != "kind"}
    if value["kind"] == "steps":
        score, probability = (np.array(facts.pop(name), dtype=np.float64) for name in ("score", "probability"))
        rising = np.all(np.diff(score) >= 0) and np.all(np.diff(probability) >= 0)
        if facts or not len(score) or score.shape != probability.shape or not rising or probability[0] < 0:
            raise ValueError("steps must rise")
        if not np.all(np.isfinite(score)) or not probability[-1] <= 1:
            raise ValueError("steps must be finite, from 0 to 1")
        return StepCurve(tuple(score.tolist()), tuple(probability.tolist()))
    numbers = {name: float(of) for name, of in facts.items()}
    if not all(np.isfinite(one) for one in numbers.values()):
        raise ValueError("a curve needs finite numbers")
    if value["kind"] == "temperature":
        warm = Temperature(**numbers)
        if warm.temperature <= 0:
            raise ValueError("a temperature is above 0")
        return warm
    if value["kind"] != "log_odds":
        raise ValueError(f"there is no curve {value['kind']!r}")
    curve = LogOddsCurve(**numbers)
    if min(curve.rise, curve.fall) < 0 or curve.rise + curve.fall <= 0:
        raise ValueError("a curve must rise")
    return curve
