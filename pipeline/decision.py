"""What a run's scores are taken for: the calibrator, the thresholds, the prediction sets; kept as JSON with the run.

The one that training makes is `tabular/calibration/calibration.json`; those of other sites lie beside it under a name
(`fusionnetx recalibrate`).
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import finite, read_json, sha256_of
from data.scores.calibrators import Calibrator
from data.scores.conformal import SetRule
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
            if kept.threshold is not None:
                result[score >= kept.threshold] = percent(kept.target)
        return [None if one is None else str(one) for one in result]


def percent(share: float) -> str:
    """`80 %`."""
    return f"{100 * share:g} %"


def threshold_figures(
    kept: Sequence[KeptThreshold], calibrator: Calibrator, target: Ints, score: Floats, groups: npt.NDArray[Any]
) -> list[dict[str, Any]]:
    """Thresholds with what they did on known lesions, for JSON; nothing of the latter where one class is absent."""
    both = 0 < int(target.sum()) < len(target)
    return [
        {
            **asdict(one),
            "probability": None if one.threshold is None else float(calibrator.apply(np.array([one.threshold]))[0]),
            "workload": None
            if one.threshold is None or not both
            else asdict(workload(target, score, groups, one.threshold)),
        }
        for one in kept
    ]


def kept_thresholds(
    target: Ints, score: Floats, groups: npt.NDArray[Any], sensitivities: Sequence[float]
) -> tuple[KeptThreshold, ...]:
    """A threshold for each sensitivity, set on the patients with positive lesions."""
    positive = target == 1
    return tuple(kept_threshold(score[positive], groups[positive], one) for one in sensitivities)


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
