"""Probabilities of lesions from a trained network.

A lesion without an image gets NaN, never a number. Which lesions may be predicted by which fold's network is the
caller's business.
"""

from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data.errors import TrainingError
from data.progress import Progress, silent
from image_models.augment import symmetries
from image_models.device import choose_device, explained_out_of_memory
from image_models.inputs import PlainInput, plain_inputs
from image_models.lesions import Lesions
from image_models.loader import overlapped
from image_models.losses import log_probabilities
from image_models.model_file import load_model
from image_models.precision import Precision, autocast, choose_precision
from image_models.recipe import ImageModelRecipe

__all__ = ["load_model", "predict"]

Ints = npt.NDArray[np.int64]


def predict(
    model: nn.Module,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    *,
    device: str = "auto",
    cache_dir: Path | None = None,
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """Probabilities (len(rows), columns) in [0, 1]: of the positive class alone when binary, else one per class.

    `cache_dir` keeps the precision measured for this machine, as in `train_fold`.
    """
    place = choose_device(device)
    columns = 0 if lesions.metadata is None else lesions.metadata.shape[1]
    precision = choose_precision(recipe, place, model, cache_dir=cache_dir, metadata_columns=columns)
    model = placed(model, recipe, place)
    if recipe.compile:
        model.compile()
    return predict_on(model, recipe, lesions, rows, device=place, precision=precision, progress=progress)


def placed(model: nn.Module, recipe: ImageModelRecipe, device: torch.device) -> nn.Module:
    """The model on the device, in the memory layout of the recipe."""
    model = model.to(device)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model


def predict_on(
    model: nn.Module,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    *,
    device: torch.device,
    precision: Precision,
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """`predict` with a model that is already on the device."""
    probabilities = np.full((len(rows), lesions.columns), np.nan)
    places = np.flatnonzero(lesions.present[rows])
    shown = rows[places]
    found: list[Tensor] = []
    done = 0
    model.eval()
    remedy = f"lower predict_batch_size (now {recipe.predict_batch_size}) of image model {recipe.name}"
    inputs = plain_inputs(recipe, lesions, shown, device=device, precision=precision)
    with torch.inference_mode(), explained_out_of_memory(remedy, device), closing(inputs):
        for batch in overlapped(inputs, device):
            with autocast(precision, device):
                found.append(_logits(model, recipe, batch))
            done += batch.count
            progress(done, len(shown))
        if found:
            # In float64 on the CPU: in float32 confident probabilities would tie.
            views = log_probabilities(torch.cat(found, dim=1).cpu().double()).exp().mean(dim=0).numpy()
            probabilities[places] = views[:, 1:] if lesions.columns == 1 else views
    bad = np.flatnonzero(~np.isfinite(probabilities[places]).all(axis=1))
    if len(bad):
        raise TrainingError(
            f"image model {recipe.name} gives no number for {len(bad)} of {len(shown)} lesions (first: "
            f"{lesions.ids[shown[bad[0]]]}) in {precision}: its weights are damaged, or set precision = 'fp32'"
        )
    return probabilities


def _logits(model: nn.Module, recipe: ImageModelRecipe, batch: PlainInput) -> Tensor:
    """Logits of every symmetric view, (views, N, outputs)."""
    views = symmetries(batch.pixels, recipe.test_time)
    more = () if batch.metadata is None else (batch.metadata,)
    return torch.stack([model(view, *more).float() for view in views])
