"""What `oof --dry-run` prints: every job, its size and its exact learning-rate schedule; nothing is trained."""

from data.errors import DataError
from image_models.recipe import ImageModelRecipe
from pipeline.inputs import Inputs
from pipeline.plan import plan_of, planned_folds
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.fold_model import fold_model_of
from pipeline.steps.lesions import training_lesions


def print_dry_run(inputs: Inputs, runtime: Runtime) -> None:
    """Print what stage one would do; nothing is written."""
    from image_models.networks.zoo import tried_backbones
    from image_models.training.plan import describe_plan, plan_training

    say = runtime.display.say
    lesions, folds, steps = training_lesions(inputs, images=False), planned_folds(inputs), plan_of(inputs).fold_models
    for model in inputs.run.recipe.image_models:
        count = tried_backbones(model)
        parameters = f", {count:,} parameters in the backbone" if count else ""
        say(f"{model.name}: {what_it_sees(model)}, labels = {model.labels}{parameters}", style="bold")
        for step in (step for step in steps if step.key[0] == model.name):
            job = fold_model_of(step)
            rows = job.train_rows(folds)
            plan = plan_training(model, lesions, rows, job.seed)
            sizes = f"{len(rows):,} lesions to train on, {len(job.held_out(folds)):,} held out"
            say(f"  {job.name.replace('_', ' ')}: {sizes} ({state_of(step)})")
            if job.left_out == (0,):
                for line in describe_plan(model, plan):
                    say(f"    {line}")


def state_of(step: Step) -> str:
    """`done`, or why not."""
    try:
        return step.stale_reason() or "done"
    except DataError:
        return "not run yet"


def what_it_sees(model: ImageModelRecipe) -> str:
    """`efficientnet_b0 at 224 px (frozen) + 3 metadata columns by gated fusion`."""
    frozen = " (frozen)" if model.frozen else ""
    parts = [f"{branch.backbone} at {branch.image_size} px{frozen}" for branch in model.image_branches()]
    count = len(model.metadata.columns)
    if count:
        by = f" by {model.fusion} fusion" if parts else " alone"
        parts.append(f"{count} metadata column{'s' * (count > 1)}{by}")
    return " + ".join(parts)
