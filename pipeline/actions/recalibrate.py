"""Fit a run's probabilities and thresholds to another site by labelled patients of it; no model is trained.

A new site's few patients must not overrule what many have taught, so its curve is pulled towards leaving the run's own
probabilities as they are: slope 1 and shift 0 are believed beforehand, with these standard deviations, and the data
move them as far as they weigh more. Thresholds are set anew where there are enough patients with malignant lesions,
and stay the run's own where not.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort
from data.errors import DataError, examples
from data.files import sha256_of, write_json
from data.recipe import read_folder
from data.scores.calibrate import cross_fitted
from data.scores.calibration import log_loss
from data.scores.calibrators import LogOddsCurve, log_odds
from data.scores.conformal import SetRule, set_rule
from data.scores.logistic import Prior, fit_logistic
from data.tables.parquet import read_parquet
from pipeline.actions.predict import finished_plan, probabilities_of, warn_of_invented
from pipeline.decision import (
    Decision,
    Known,
    decision_of,
    path_of,
    percent,
    refuse_name,
    stored_decision,
    threshold_figures,
)
from pipeline.display import Display
from pipeline.run import Run
from pipeline.runtime import Runtime

SLOPE_SD, SHIFT_SD = 0.25, 1.0
"""A slope beyond 0.5 to 1.5, or odds off by more than sevenfold, would surprise."""
DIVISIONS = 5
"""Parts of the patients by which the curve is tried on patients that it was not fitted on."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SiteCurve:
    """A site's curve on the run's own log-odds, and how sure it is."""

    slope: float
    shift: float
    slope_error: float
    shift_error: float

    @property
    def curve(self) -> LogOddsCurve:
        """As calibrators have it."""
        return LogOddsCurve(self.slope, self.slope, self.shift)


def run_recalibrate(run: Run, runtime: Runtime, data_dir: Path, name: str) -> None:
    """Predict the site's lesions, fit, and keep the result beside the run under its name."""
    refuse_name(name)
    finished, own = finished_plan(run), decision_of(run)
    data = read_folder(run.recipe.data, data_dir)
    for note in data.notes:
        runtime.display.warn(note)
    if len(data.train.task.classes) > 2:
        raise DataError("recalibrate is for two classes; a run of many classes keeps its own calibration")
    cohort = untrained(run, runtime, data.train, data_dir)
    warn_of_invented(run, runtime, data_dir / "any")
    score = probabilities_of(finished, runtime, cohort, data.train_images)
    known = np.isfinite(score)
    target, groups, score = cohort.target[known], cohort.groups[known], score[known]
    before = own.calibrator.apply(score)
    fitted = fit_site(target, before, groups)
    after = fitted_apart(target, before, groups)
    figures = {
        **site_decision(run, own, fitted, target, score, groups),
        "made_on": sha256_of(path_of(run)),
        "site": {
            "lesions": len(target),
            "patients": len(np.unique(groups)),
            "positives": int(target.sum()),
            "slope": {"estimate": fitted.slope, "error": fitted.slope_error},
            "shift": {"estimate": fitted.shift, "error": fitted.shift_error},
            "log_loss": {"before": log_loss(target, before), "after": log_loss(target, after)},
        },
    }
    write_json(path_of(run, name), figures)
    say_what_was_found(runtime.display, figures, cohort, path_of(run, name), name)


def untrained(run: Run, runtime: Runtime, cohort: Cohort, data_dir: Path) -> Cohort:
    """The cohort without lesions that the models were trained on; DataError where none is left."""
    path = run.folder / "tabular" / "oof.parquet"
    if not path.is_file():
        return cohort
    trained, _ = read_parquet(path, f"Run `fusionnetx tabular --run {run.folder}` again.")
    known = np.isin(cohort.ids, trained["lesion_id"].to_numpy().astype(np.str_))
    if not known.any():
        return cohort
    message = (
        f"{data_dir}: {int(known.sum())} of its {len(known)} {cohort.task.row_noun}s are among those that {run.folder} "
        f"was trained on ({examples(cohort.ids[known])})"
    )
    if known.all():
        raise DataError(f"{message}; a site's own must be others")
    runtime.display.warn(f"{message}: left out")
    return replace(cohort, table=cohort.table.filter(~known))


def fit_site(target: Ints, before: Floats, groups: npt.NDArray[Any]) -> SiteCurve:
    """The curve of a site. One that would fall leaves the slope as it is."""
    logits, ones = log_odds(before), np.ones(len(target))
    prior = Prior((1.0, 0.0), (SLOPE_SD, SHIFT_SD))
    fit = fit_logistic(np.column_stack([logits, ones]), target.astype(np.float64), prior=prior)
    slope, shift = (float(one) for one in fit.coefficients)
    if slope <= 0:
        fit = fit_logistic(ones[:, None], target.astype(np.float64), logits, Prior((0.0,), (SHIFT_SD,)))
        return SiteCurve(1.0, float(fit.coefficients[0]), SLOPE_SD, float(np.sqrt(1 / fit.curvature[0, 0])))
    # Lesions of a patient are alike: few patients are never surer than the sandwich over them, nor than the curvature.
    _, patient = np.unique(groups, return_inverse=True)
    variance = np.maximum(np.diag(np.linalg.inv(fit.curvature)), np.diag(fit.covariance_over(patient.astype(np.int64))))
    errors = np.minimum(np.sqrt(variance), (SLOPE_SD, SHIFT_SD))
    return SiteCurve(slope, shift, float(errors[0]), float(errors[1]))


def fitted_apart(target: Ints, before: Floats, groups: npt.NDArray[Any]) -> Floats:
    """Each part of the patients by the curve of the others; of one patient, by what was believed beforehand."""
    after = cross_fitted(lambda rows: fit_site(target[rows], before[rows], groups[rows]).curve, before, part_of(groups))
    assert after is not None
    return after


def part_of(groups: npt.NDArray[Any]) -> Ints:
    """Which part of the patients each lesion belongs to."""
    _, patient = np.unique(groups, return_inverse=True)
    return np.asarray(patient % DIVISIONS, dtype=np.int64)


def site_decision(
    run: Run, own: Decision, fitted: SiteCurve, target: Ints, score: Floats, groups: npt.NDArray[Any]
) -> dict[str, Any]:
    """What `predict` needs, in the form that the run's own has."""
    calibrator = own.calibrator.followed_by(fitted.curve)
    site = Known(target, score, groups, part_of(groups))
    thresholds = []
    for old in own.thresholds:
        new = site.threshold(old.target)
        of_site = new.threshold is not None
        # The run's own threshold has never seen the site; the site's own is tried on patients that did not set it.
        flagged = site.flagged_apart(old.target) if of_site else old.apply(score)
        kept = new if of_site else old
        thresholds.append({**threshold_figures(kept, calibrator, site, flagged), "from_site": of_site})
    rule = set_rule(target, score, groups, own.sets.level)
    mixed = [old if new is None else new for old, new in zip(own.sets.thresholds, rule.thresholds, strict=True)]
    return {
        "calibrator": calibrator.to_json(),
        "thresholds": thresholds,
        "sets": replace(SetRule(own.sets.level, ()), thresholds=tuple(mixed)).to_json(),
        "seen": stored_decision(run)["seen"],
    }


def say_what_was_found(display: Display, figures: dict[str, Any], cohort: Cohort, path: Path, name: str) -> None:
    """How far the site is from the run, how sure that is, and which thresholds are its own."""
    site, group = figures["site"], cohort.task.group_noun
    display.say(
        f"{site['lesions']:,} {cohort.task.row_noun}s of {site['patients']:,} {group}s, {site['positives']:,} of them "
        f"{cohort.task.classes[1]}"
    )
    for what, right in (("slope", 1), ("shift", 0)):
        one = site[what]
        display.say(
            f"{what} of the log-odds {one['estimate']:+.2f} ± {one['error']:.2f} ({right} leaves them as they are)"
        )
    losses = site["log_loss"]
    display.say(f"log loss {losses['before']:.4f} as it was, {losses['after']:.4f} on {group}s not fitted on")
    for one in figures["thresholds"]:
        whose = "of this site" if one["from_site"] else f"of the run: this site has too few such {group}s"
        display.say(f"threshold for {percent(one['target'])}: {whose}")
    display.say(f"wrote {path}; use it with `fusionnetx predict --calibration {name}`")
