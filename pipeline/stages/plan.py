"""What `oof --dry-run` prints: every job, its size and its exact learning-rate schedule; nothing is trained."""

from pipeline.seeds import derive
from pipeline.stages.oof import fold_step, training_lesions
from pipeline.workspace import Workspace


def print_plan(space: Workspace) -> None:
    """Print the plan of stage one."""
    from image_models.plan import describe_plan, plan_training

    lesions = training_lesions(space)
    for model in space.recipe.image_models:
        space.display.say(f"[bold]{model.name}[/bold]: {model.backbone} at {model.image_size} px, labels = {model.labels}")
        for fold in range(space.folds.count):
            rows = space.folds.train_rows(fold)
            plan = plan_training(model, lesions, rows, derive(space.recipe.seed, model.name, fold))
            held_out = len(space.folds.validation_rows(fold))
            state = fold_step(space, model, fold).why() or "done"
            space.display.say(f"  fold {fold}: {len(rows):,} lesions to train on, {held_out:,} held out ({state})")
            if fold == 0:
                for line in describe_plan(model, plan):
                    space.display.say(f"    {line}")
