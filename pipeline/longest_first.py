"""The order in which jobs side by side are begun: those that take long first, so that none of them ends alone."""

from collections.abc import Sequence

from pipeline.inputs import Inputs
from pipeline.step import Step
from pipeline.steps.fold_model import FoldModel
from pipeline.too_long import cohort_of, images_shown

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
