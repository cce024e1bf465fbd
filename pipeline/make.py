"""Do what is missing of a run, batch by batch, in the order of its plan; skip what is done and say why not."""

from collections.abc import Sequence

from pipeline.execute.running import run_all
from pipeline.execute.steps import TOGETHER, step_job
from pipeline.inputs import Inputs
from pipeline.plan import Plan, plan_of
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.fold_model import FoldModel
from pipeline.too_long import cohort_of, images_shown, refuse_years


def make(inputs: Inputs, runtime: Runtime, verb: str) -> Plan:
    """Do the work of a verb (`oof`, `tabular` or `submission`) and of those before it."""
    finished: set[str] = set()
    refuse_years((step for step in plan_of(inputs).upto(verb) if step.report() is None), inputs, runtime)
    while True:
        # Planned anew each time: folds, and the parameters that a search finds, are known once they are made.
        plan = plan_of(inputs)
        batch = next(((name, steps) for name, steps in plan.batches(verb).items() if name not in finished), None)
        if batch is None:
            return plan
        make_batch(*batch, inputs, runtime)
        finished.add(batch[0])


def make_batch(name: str, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> None:
    """Do those of some steps that are not done; none of them needs another but that which it follows."""
    todo: dict[Step, str] = {}
    for step in steps:
        if step.work.follows in todo:
            todo[step] = "not run yet" if step.report() is None else f"{step.work.follows.name} is made again"
        elif reason := step.stale_reason():
            todo[step] = reason
    tell(steps, todo, runtime)
    here = [step for step in todo if step.work.here]
    for step in here:
        step.work.do(step, inputs, runtime)
    jobs = longest_first([step for step in todo if not step.work.here], inputs)
    if not jobs:
        return
    at_once = jobs[0].work.at_once([step for step in jobs if step.kind == jobs[0].kind], inputs, runtime)
    if jobs[0].kind in TOGETHER:
        runtime.executor.expect(inputs, min(at_once, len(jobs)))
    counted: dict[Step, str] = {}
    for kind in dict.fromkeys(step.kind for step in jobs):
        of_kind = [step for step in jobs if step.kind == kind]
        of_kind[0].work.prepare(of_kind, inputs, runtime)
        counted |= {step: f"[{number}/{len(of_kind)}]" for number, step in enumerate(of_kind, start=1)}
    afters = {step: first.name for step in jobs if (first := step.work.follows) is not None and first in todo}
    ordered = [step_job(step, counted[step], inputs, runtime, afters.get(step, "")) for step in jobs]
    run_all(inputs, runtime, ordered, name, at_once)
    if not any(step.kind == "fold model" for step in jobs):
        runtime.shared.forget("features", "fold")


def tell(steps: Sequence[Step], todo: dict[Step, str], runtime: Runtime) -> None:
    """Say how many of a batch are done, and why those that were done are done again."""
    say = runtime.display.say
    for step in steps:
        if step.work.announced and step not in todo:
            say(f"{step.name}: {step.folder / step.work.announced} is up to date")
    counted = [step for step in steps if step.work.things]
    if not counted:
        return
    work, missing = counted[0].work, [step for step in counted if step in todo]
    stage = "stage one" if work.verb == "oof" else "stage two"
    if missing:
        done = len(counted) - len(missing)
        say(f"{stage}: {done} of {len(counted)} {work.things} are done, {len(missing)} {work.undone}")
    else:
        say(f"{stage}: all {len(counted)} {work.things} are done")
    again: dict[str, list[Step]] = {}
    for step in missing:
        if todo[step] != "not run yet":
            again.setdefault(todo[step], []).append(step)
    for reason, of_reason in again.items():
        who = of_reason[0].name if len(of_reason) == 1 else f"{len(of_reason)} {work.things}"
        say(f"{who}: {reason}; {work.again}")


FORTH_AND_BACK = 3
"""Training an image costs about three times what predicting it does."""


def longest_first(steps: Sequence[Step], inputs: Inputs) -> list[Step]:
    """Steps in the order of their turns; image models to train with the longest first, by estimate."""
    if len({step.work.model.name for step in steps if isinstance(step.work, FoldModel)}) < 2:
        return list(steps)
    return sorted(steps, key=lambda step: (step.work.turn, -expected_work(step, inputs)))


def expected_work(step: Step, inputs: Inputs) -> float:
    """Operations of an image model's training and of its predictions, by estimate; 0 for other steps."""
    if not isinstance(step.work, FoldModel):
        return 0.0
    from image_models.networks.memory import work_per_image

    model, cohort = step.work.model, cohort_of(inputs)
    if model.backbone == "none":
        return 0.0
    held_out = len(step.work.left_out) / cohort.folds
    # A frozen network sees every image once.
    seen = 1.0 if model.trains_on_vectors else FORTH_AND_BACK * images_shown(model, cohort, 1 - held_out) / cohort.rows
    return (seen + held_out) * cohort.rows * work_per_image(model)
