"""Seconds of stage one of the whole recipe, extrapolated: steps and images counted, their speeds as measured before.

Counted for the data that the recipe is written for: SLICE-3D's 401,059 lesions, 393 of them malignant and 675 more that
were worth a biopsy. Five fold models of each image model are trained, and each predicts the fold it has not seen.
"""

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.gpu_check.setting import Found, Line, Setting
from image_models.lesions import Lesions, no_images
from image_models.recipe import ImageModelRecipe
from image_models.training.plan import plan_training

LESIONS, MALIGNANT, BIOPSIED = 401_059, 393, 675
FOLDS = 5
GOAL_SECONDS = 300.0


@dataclass(frozen=True)
class Count:
    """What one image model has to do over all folds."""

    steps: int
    shown: int
    """Images in training, repeats included."""
    predicted: int


def measure(setting: Setting, found: dict[str, Found]) -> Found:
    """One after the other, and with the gain of several at once."""
    steps, asking = found["steps"].figures, found["asking"].figures
    training = predicting = 0.0
    for model in setting.roster():
        work = counted(model)
        training += work.steps * steps[model.backbone]["loop_ms"] / 1000
        predicting += work.predicted / max(asking[model.backbone].values())
    gain = found["together"].figures["gain"]
    figures = {"training_s": training, "predicting_s": predicting, "gain": gain, "goal_s": GOAL_SECONDS}
    figures["one_after_the_other_s"] = training + predicting
    # A card is full while it predicts: several at once gain nothing there.
    figures["together_s"] = training / gain + predicting
    said = f"{figures['together_s']:,.0f} s ({figures['one_after_the_other_s']:,.0f} s one after the other)"
    good = figures["together_s"] <= GOAL_SECONDS if setting.on_cuda and not setting.small else None
    return Found(figures, [Line("stage one of fusionnetx, extrapolated", said, f"{GOAL_SECONDS:g} s", good)])


def counted(model: ImageModelRecipe) -> Count:
    """Steps and images of one image model, by the plan that training itself makes."""
    fits = plan_training(model, slice_3d(), np.arange(math.ceil(LESIONS * (FOLDS - 1) / FOLDS)), seed=0).fits
    steps = sum(fit.total_steps for fit in fits)
    shown = sum(fit.epochs * fit.sampler.images_per_epoch for fit in fits)
    return Count(FOLDS * steps, FOLDS * shown, LESIONS)


def slice_3d() -> Lesions:
    """Labels in the numbers of SLICE-3D, spread evenly, and no images."""
    rows = np.arange(LESIONS)
    target, relabelled = (spread(count) for count in (MALIGNANT, MALIGNANT + BIOPSIED))
    present, names = np.ones(LESIONS, np.bool_), rows.astype(str)
    return Lesions(no_images(LESIONS), present, target, relabelled, rows, 2, names)


def spread(positives: int) -> np.ndarray:
    """So many ones among zeros at even distances."""
    labels = np.zeros(LESIONS, np.int64)
    labels[np.linspace(0, LESIONS - 1, positives).astype(np.int64)] = 1
    return labels
