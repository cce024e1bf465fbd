"""What `oof --dry-run` prints: every job, its size and its exact learning-rate schedule; nothing is trained."""

from image_models.recipe import ImageModelRecipe
from pipeline.steps.fold_models import FoldModel, training_lesions
from pipeline.workspace import Workspace


def print_plan(space: Workspace) -> None:
    """Print the plan of stage one."""
    from image_models.networks.zoo import tried_backbones
    from image_models.training.plan import describe_plan, plan_training

    lesions = training_lesions(space, images=False)
    for model in space.recipe.image_models:
        count = tried_backbones(model)
        parameters = f", {count:,} parameters in the backbone" if count else ""
        space.display.say(f"{model.name}: {what_it_sees(model)}, labels = {model.labels}{parameters}", style="bold")
        for fold in range(space.folds.count):
            job = FoldModel(space, model, (fold,))
            plan = plan_training(model, lesions, job.train_rows, job.seed)
            sizes = f"{len(job.train_rows):,} lesions to train on, {len(job.held_out):,} held out"
            space.display.say(f"  fold {fold}: {sizes} ({job.step.why() or 'done'})")
            if fold == 0:
                for line in describe_plan(model, plan):
                    space.display.say(f"    {line}")


def what_it_sees(model: ImageModelRecipe) -> str:
    """`efficientnet_b0 at 224 px (frozen) + 3 metadata columns by gated fusion`."""
    frozen = " (frozen)" if model.frozen else ""
    parts = [f"{branch.backbone} at {branch.image_size} px{frozen}" for branch in model.image_branches()]
    count = len(model.metadata.columns)
    if count:
        by = f" by {model.fusion} fusion" if parts else " alone"
        parts.append(f"{count} metadata column{'s' * (count > 1)}{by}")
    return " + ".join(parts)
