"""What a run's scores are taken for: the calibrator, the thresholds, the prediction sets; kept as JSON with the run.

The one that training makes is `tabular/calibration/calibration.json`; those of other sites lie beside it under a name
(`fusionnetx recalibrate`).
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import finite, read_json, sha256_of
from data.scores.calibrate import Applied, cross_fitted
from data.scores.calibrators import Calibrator
from data.scores.conformal import SetRule, set_rule
from data.scores.thresholds import KeptThreshold, kept_threshold, workload
from pipeline.run import Run
from pipeline.seen import Seen

FOLDER = Path("tabular") / "calibration"
FILE = "calibration.json"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Decision:
    """How scores become answers."""

    calibrator: Calibrator
    thresholds: tuple[KeptThreshold, ...]
    """Of rising sensitivity; none with many classes."""
    sets: SetRule
    seen: Seen

    def flagged_at(self, score: Floats) -> list[str | None]:
        """The smallest sensitivity at whose threshold a lesion is flagged; None below all thresholds."""
        result = np.full(len(score), None, dtype=object)
        for kept in reversed(self.thresholds):
            result[kept.apply(score)] = percent(kept.target)
        return [None if one is None else str(one) for one in result]


def percent(share: float) -> str:
    """`80 %`."""
    return f"{100 * share:g} %"


@dataclass(frozen=True)
class Known:
    """Lesions whose answers are known, and the scores that models gave them without having seen these."""

    target: Ints
    score: Floats
    groups: npt.NDArray[Any]
    part: Ints
    """Which part of the patients each belongs to: what is set on the other parts is tried on it."""

    def threshold(self, sensitivity: float) -> KeptThreshold:
        """Set on the patients with positive lesions."""
        return self._threshold(sensitivity, self.target == 1)

    def _threshold(self, sensitivity: float, rows: npt.NDArray[np.bool_]) -> KeptThreshold:
        return kept_threshold(self.score[rows], self.groups[rows], sensitivity)

    def flagged_apart(self, sensitivity: float) -> npt.NDArray[np.bool_] | None:
        """The lesions flagged at thresholds set by the other parts; None where these cannot promise so much."""

        def fit(rows: npt.NDArray[np.bool_]) -> KeptThreshold | None:
            found = self._threshold(sensitivity, rows & (self.target == 1))
            return None if found.threshold is None else found

        return self._apart(fit)

    def sets_apart(self, level: float) -> npt.NDArray[np.bool_] | None:
        """The prediction sets, lesions x classes, by rules set by the other parts; None where there is but one."""
        return self._apart(lambda rows: set_rule(self.target[rows], self.score[rows], self.groups[rows], level))

    def _apart(self, fit: Callable[[npt.NDArray[np.bool_]], Applied | None]) -> npt.NDArray[np.bool_] | None:
        if len(np.unique(self.part)) < 2:
            return None
        found = cross_fitted(fit, self.score, self.part)
        return None if found is None else found.astype(np.bool_)


def threshold_figures(
    one: KeptThreshold, calibrator: Calibrator, known: Known, flagged: npt.NDArray[np.bool_] | None
) -> dict[str, Any]:
    """A threshold with what it did on known lesions, for JSON; nothing of the latter where one class is absent."""
    both = 0 < int(known.target.sum()) < len(known.target)
    work = None if flagged is None or not both else asdict(workload(known.target, flagged, known.groups))
    probability = None if one.threshold is None else float(calibrator.apply(np.array([one.threshold]))[0])
    return {**asdict(one), "probability": probability, "workload": work}


def decision_of(run: Run, name: str | None = None) -> Decision:
    """The run's own, or that of another site by its name; DataError where there is none or it is damaged."""
    value = stored_decision(run, name)
    try:
        thresholds = tuple(
            KeptThreshold(
                finite(one["target"]),
                None if one["threshold"] is None else finite(one["threshold"]),
                None if one["bound"] is None else finite(one["bound"]),
                int(one["patients"]),
            )
            for one in value["thresholds"]
        )
        return Decision(
            Calibrator.from_json(value["calibrator"]),
            thresholds,
            SetRule.from_json(value["sets"]),
            Seen.from_json(value["seen"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path_of(run, name)} is damaged ({error!r}); {remedy(run, name)}") from error


def decision_for(run: Run, name: str | None = None) -> Decision:
    """The same, for lesions to predict now: another site's must have been made of the models that the run has now."""
    if name is None:
        return decision_of(run)
    refuse_name(name)
    if stored_decision(run, name).get("made_on") != sha256_of(path_of(run)):
        raise DataError(f"calibration {name} was made with other models than {run.folder} has now; {remedy(run, name)}")
    return decision_of(run, name)


def refuse_name(name: str) -> None:
    """A name becomes the name of a file."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise DataError(f"a calibration's name is made of letters, digits, - and _, not {name!r}")


def path_of(run: Run, name: str | None = None) -> Path:
    """Where a decision is stored."""
    return run.folder / FOLDER / FILE if name is None else run.folder / "calibrations" / f"{name}.json"


def stored_decision(run: Run, name: str | None = None) -> dict[str, Any]:
    """As it is stored; DataError where it is missing or no JSON object."""
    path = path_of(run, name)
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        known = sorted(one.stem for one in (run.folder / "calibrations").glob("*.json"))
        others = "" if name is None else f"; there {'are ' + ', '.join(known) if known else 'is none yet'}"
        raise DataError(f"{path} is missing or damaged ({error}){others}; {remedy(run, name)}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged (no object); {remedy(run, name)}")
    return value


def remedy(run: Run, name: str | None) -> str:
    """Which command makes it."""
    if name is None:
        return f"run `fusionnetx tabular --run {run.folder}` first"
    return f"run `fusionnetx recalibrate --run {run.folder} --name {name} --data LABELLED` first"
