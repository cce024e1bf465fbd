"""Do the work of a run up to a verb, and say what came of it."""

import shlex
from typing import Any

from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import Plan
from pipeline.report.metrics import refresh_metrics
from pipeline.runtime import Runtime
from pipeline.scoring import shown


def train(inputs: Inputs, runtime: Runtime, verb: str) -> Plan:
    """Record what the run is, do what is missing, and end with the scores where there are some."""
    inputs.run.record()
    if verb == "oof" and not inputs.run.recipe.image_models:
        runtime.display.say("stage one: the recipe has no image models")
    plan = make(inputs, runtime, verb)
    if verb == "submission":
        print_scores(inputs, runtime, refresh_metrics(inputs))
    return plan


def print_scores(inputs: Inputs, runtime: Runtime, figures: dict[str, Any]) -> None:
    """Say what the run scored, where it is, and what to do next."""
    run, score, say = inputs.run, figures["score"], runtime.display.say
    task = inputs.data.train.task
    blend = figures["cross_validated"]["members"]["blend"]
    chance = "; chance 0.02" if score == "pauc" else ""
    say(
        f"cross-validated {score} {shown(blend, score)}, 95 % over {task.group_noun}s{chance}",
        style="bold",
    )
    if figures["optimistic"]:
        say(f"this figure is {figures['optimistic']}")
    if figures["test"] is not None:
        for part in ("public", "private"):
            say(f"demo leaderboard, {part}: {score} {shown(figures['test'][part]['blend'], score)}")
    if figures["synthetic"]:
        say("these lesions are synthetic: the figures say that the pipeline works, not how well it would do")
    if inputs.data.test is None:
        say(
            f"{inputs.source_dir} has no test part, so there is nothing to submit; every {task.row_noun}'s out-of-fold "
            f"probability is in {run.folder / 'tabular' / 'oof.parquet'}"
        )
    else:
        say(f"wrote {run.folder / 'submission.csv'}")
    say(f"scores: {run.folder / 'metrics.json'}")
    say(f"next: fusionnetx report --run {shlex.quote(str(run.folder))}")
