"""After the blend: what its out-of-fold scores say a score is worth; the calibrator, thresholds and prediction sets."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from data.files import write_json
from data.scores.calibrate import calibrate
from data.scores.calibration import brier, calibration_line, log_loss
from data.scores.conformal import coverage, set_rule
from data.scores.intervals import interval_of, interval_of_calibration_error, replicates_of_scores
from pipeline.columns import flat, read_columns, stacked, write_table
from pipeline.decision import FILE, FOLDER, Known, percent, threshold_figures
from pipeline.display import Display
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import known_rows
from pipeline.seen import seen_in
from pipeline.step import Need, Step, Work
from tabular.calibrate import CalibrateRecipe

TABLE = "calibrated.parquet"
"""What the calibrator would have said of each training lesion without its fold."""
MEANS = ("brier", "log_loss")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CalibrateBlend(Work):
    """Calibrate the blend."""

    verb: ClassVar[str] = "tabular"
    stage: ClassVar[str] = "calibration"
    batch: ClassVar[str] = "calibration"
    here: ClassVar[bool] = True

    recipe: CalibrateRecipe
    blend: Step
    seed: int

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Choose, fit and keep; write what it would have said of the training lesions."""
        train, folds = inputs.data.train, inputs.folds
        attempt = step.begin()
        column = stacked(read_columns(self.blend.folder / "oof.parquet", train.ids), "blend")
        known, score = known_rows(column)
        target, groups = train.target[known], train.groups[known]
        with runtime.display.task("calibration"):
            found = calibrate(target, score[known], folds.fold[known].astype(np.int64), self.recipe.method)
            calibrated = np.full(score.shape, np.nan)
            calibrated[known] = found.cross_fitted
            lesions = Known(target, score[known], groups, folds.fold[known].astype(np.int64))
            wanted = self.recipe.sensitivities if score.ndim == 1 else ()
            rule = set_rule(target, score[known], groups, self.recipe.level)
            held = lesions.sets_apart(self.recipe.level)
            figures = {
                "calibrator": found.calibrator.to_json(),
                "log_loss": found.log_loss,
                "as_given": quality(target, score[known], groups, self.seed),
                "calibrated": quality(target, found.cross_fitted, groups, self.seed),
                "thresholds": [
                    threshold_figures(lesions.threshold(one), found.calibrator, lesions, lesions.flagged_apart(one))
                    for one in wanted
                ],
                "sets": {**rule.to_json(), "coverage": None if held is None else asdict(coverage(held, target))},
                "seen": seen_in(train, inputs.run.recipe.features).to_json(),
            }
        write_json(step.folder / FILE, figures)
        table = flat({"blend": calibrated}, train.task.probability_columns)
        write_table(step.folder / TABLE, train.ids, folds.fold, table)
        attempt.finish([FILE, TABLE])
        say_what_was_found(runtime.display, figures, train.task.row_noun, train.task.group_noun)


def calibration_step(run: Run, facts: InputFacts, folds: Step, blend: Step) -> Step:
    """The calibration of the blend and everything it depends on."""
    recipe = run.recipe
    return Step(
        kind="calibration",
        key=(),
        name="calibration",
        folder=run.folder / FOLDER,
        work=CalibrateBlend(recipe.tabular.calibrate, blend, recipe.seed),
        settings={
            "tried_on": "the folds that set nothing",
            "calibrate": recipe.tabular.calibrate.model_dump(mode="json"),
            "features": recipe.features.model_dump(mode="json"),
            "run_seed": recipe.seed,
        },
        needs=(
            Need("train table", facts.train_table),
            Need("folds", step=folds, artefacts=("folds.parquet",)),
            Need("blend", step=blend, artefacts=("oof.parquet",)),
        ),
        waits_for=blend.waits_for,
    )


def quality(
    target: Ints, probability: Floats, groups: npt.NDArray[Any], seed: int, replicates: int = 1000
) -> dict[str, Any]:
    """How far probabilities can be taken at their word, with intervals over patients."""
    drawn = replicates_of_scores(target, probability, groups, scores=MEANS, seed=seed, replicates=replicates)
    found = {
        "brier": interval_of(drawn["brier"], brier(target, probability)),
        "log_loss": interval_of(drawn["log_loss"], log_loss(target, probability)),
        "calibration_error": interval_of_calibration_error(
            target, probability, groups, seed=seed, replicates=replicates
        ),
    }
    figures = {name: one.figures for name, one in found.items()}
    line = calibration_line(target, probability, groups) if probability.ndim == 1 else None
    return {**figures, "slope": None, "intercept": None, **({} if line is None else asdict(line))}


def say_what_was_found(display: Display, figures: dict[str, Any], row: str, group: str) -> None:
    """Two or three lines."""
    before, after = (figures[name]["log_loss"]["estimate"] for name in ("as_given", "calibrated"))
    display.say(
        f"calibration: {figures['calibrator']['method']}; log loss {before:.4f} as given, {after:.4f} calibrated"
    )
    for one in figures["thresholds"]:
        if one["threshold"] is None:
            display.say(
                f"threshold for {percent(one['target'])}: {one['patients']} {group}s with such a {row} are too few"
            )
            continue
        work = one["workload"]
        asks = f"; {work['lesions_per_patient']:.1f} {row}s per {group}" if work else ""
        display.say(
            f"threshold for {percent(one['target'])} sensitivity over {group}s: probability {one['probability']:.3g}; "
            f"at least {one['bound']:.3f} in 95 of 100 samples{asks}"
        )
