"""Probabilities of lesions from a trained network.

A lesion without an image gets NaN, never a number, unless the network sees no images. Which lesions may be predicted by
which fold's network is the caller's business.
"""

from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data.errors import TrainingError
from data.progress import Progress, silent
from image_models.device import choose_device, explained_out_of_memory, fastest_convolutions
from image_models.frozen import kept_vectors
from image_models.lesions import Ints, Lesions
from image_models.networks.model_file import load_model
from image_models.precision import Precision, autocast, choose_precision
from image_models.recipe import ImageModelRecipe
from image_models.setup import Setup
from image_models.training.augment import symmetries
from image_models.training.distributed import ALONE, Ranks
from image_models.training.inputs import Shown, are_vectors, plain_inputs
from image_models.training.loader import Resident, overlapped, resident_images
from image_models.training.losses import log_probabilities

__all__ = ["held_images", "load_model", "predict"]


def held_images(recipe: ImageModelRecipe, lesions: Lesions, device: str = "auto") -> Resident | None:
    """The images of these lesions on the device, for all networks that look at them; None where they are gathered
    batch by batch: on a processor, and where they do not fit or the recipe keeps them off.
    """
    shown = lesions.seen_by(recipe)
    if recipe.backbone == "none":
        return None
    return resident_images(recipe, shown, np.flatnonzero(shown.present), choose_device(device))


def predict(
    model: nn.Module,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    *,
    device: str = "auto",
    cache_dir: Path | None = None,
    held: Resident | None = None,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> npt.NDArray[np.float64]:
    """Probabilities (len(rows), columns) in [0, 1]: of the positive class alone when binary, else one per class.

    `cache_dir` keeps the precision measured for this machine and a frozen network's vectors, as in `train_fold`; `held`
    are images that are on the device already. Where several processes predict together, each computes its share of the
    rows and all get the whole.
    """
    place = choose_device(device)
    lesions = lesions.seen_by(recipe)
    columns = 0 if lesions.metadata is None else lesions.metadata.shape[1]
    precision: Precision = ranks.agreed(
        choose_precision(recipe, place, model, cache_dir=cache_dir, metadata_columns=columns) if ranks.leads else None
    )
    setup = Setup(place, precision, ranks)
    model = placed(model, recipe, place)
    ranks.same_weights(model)
    resident = held
    # Kept vectors are those of the image as it is; its symmetries would need vectors of their own.
    worthwhile = recipe.test_time == "none" and cache_dir is not None and bool(lesions.images_fingerprint)
    with fastest_convolutions(place):
        if recipe.backbone == "none" or (recipe.frozen and worthwhile):
            shown = np.unique(rows[lesions.present[rows]])
            resident = kept_vectors(model, recipe, lesions, shown, setup, cache_dir=cache_dir, progress=progress)
        return predict_on(model, recipe, lesions, rows, setup, resident=resident, progress=progress)


def placed(model: nn.Module, recipe: ImageModelRecipe, device: torch.device) -> nn.Module:
    """The model on the device, in the memory layout of the recipe."""
    model = model.to(device)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model


def predict_on(
    model: nn.Module,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    setup: Setup,
    *,
    resident: Resident | None = None,
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """`predict` with a model that is already on the device, from images or from what is `resident` there."""
    device, precision, ranks = setup.device, setup.precision, setup.ranks
    probabilities = np.full((len(rows), lesions.columns), np.nan)
    places = np.flatnonzero(lesions.present[rows])
    shown = rows[places]
    mine = shown[ranks.share(len(shown))]
    # Where this process has nothing to predict, the others' logits are still put behind its none.
    vectors = resident is not None and are_vectors(resident.images)
    views = 1 if vectors else {"none": 1, "flips": 4, "dihedral": 8}[recipe.test_time]
    found = [torch.empty(views, 0, lesions.columns, device=device)]
    done = 0
    model.eval()
    remedy = f"lower predict_batch_size (now {recipe.predict_batch_size}) of image model {recipe.name}"
    inputs = plain_inputs(recipe, lesions, mine, setup, resident)
    with torch.inference_mode(), explained_out_of_memory(remedy, device), closing(inputs):
        for batch in overlapped(inputs, device):
            with autocast(precision, device):
                found.append(_logits(model, recipe, batch.shown))
            done += batch.count
            progress(done * len(shown) // len(mine), len(shown))
        logits = ranks.joined(torch.cat(found, dim=1), len(shown), dim=1).cpu()
        if len(shown):
            # In float64 on the CPU: in float32 confident probabilities would tie.
            found_shares = log_probabilities(logits.double()).exp().mean(dim=0).numpy()
            probabilities[places] = found_shares[:, 1:] if lesions.columns == 1 else found_shares
    bad = np.flatnonzero(~np.isfinite(probabilities[places]).all(axis=1))
    if len(bad):
        raise TrainingError(
            f"image model {recipe.name} gives no number for {len(bad)} of {len(shown)} lesions (first: "
            f"{lesions.ids[shown[bad[0]]]}) in {precision}: its weights are damaged, or set precision = 'fp32'"
        )
    return probabilities


def _logits(model: nn.Module, recipe: ImageModelRecipe, shown: Shown) -> Tensor:
    """Logits of every symmetric view, (views, N, outputs); vectors have one."""
    if shown.pixels is None:
        return shown.logits(model).float()[None]
    views = symmetries(shown.pixels, recipe.test_time)
    return torch.stack([Shown(view, None, shown.metadata).logits(model).float() for view in views])
