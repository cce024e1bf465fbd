"""Image scores of lesions that belong to no fold: decoded block by block, every fold's network on each block.

Half a million lesions at 224 px are 75 GB, more than the disk of a free notebook: a block is decoded once, seen by all
networks and forgotten. With several GPUs the networks are spread over them.
"""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, examples
from data.images.pack import ImagePack
from data.images.pack_build import build_pack
from data.images.sources import ImageSource
from data.predictions import TEST_FOLD, Predictions, mean_of
from data.progress import Progress
from image_models.recipe import ImageModelRecipe
from pipeline.steps.fold_models import FoldModel, named_columns, sees_images, unlabelled_lesions
from pipeline.steps.metadata import with_stored_metadata
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from torch import nn

    from image_models.lesions import Lesions

Floats = npt.NDArray[np.float64]

BLOCK_BYTES = 4 * 2**30
"""Decoded pixels on the disk at a time: 28,000 lesions at 224 px."""


@dataclass
class FoldNetwork:
    """A trained network of one fold, and the device it works on."""

    model: ImageModelRecipe
    folder: Path
    network: "nn.Module"
    device: str
    found: list[Floats]
    """Probabilities of the blocks so far."""

    def see(self, table: pl.DataFrame, lesions: "Lesions") -> None:
        """Predict one block."""
        from image_models.predict import predict

        told = with_stored_metadata(self.model, self.folder, table, lesions)
        self.found.append(predict(self.network, self.model, told, np.arange(len(lesions)), device=self.device))


def image_columns(space: Workspace, cohort: Cohort, source: ImageSource | None, folds: int) -> pl.DataFrame:
    """Mean over the fold models of every image model; null for a lesion without an image that the model needs."""
    refuse_no_images(space, cohort, source)
    devices = free_devices()
    networks = fold_networks(space, folds, len(cohort.task.classes), devices)
    present: list[npt.NDArray[np.bool_]] = []
    turns = {device: threading.Lock() for device in devices}
    views, seen = len(cohort.ids) * len(networks), 0
    label = f"stage one: {len(cohort.ids):,} lesions x {len(networks)} networks"
    with space.display.task(label) as progress, ThreadPoolExecutor(len(devices)) as pool:

        def decoding(done: int, total: int, **figures: float) -> None:
            progress(seen, views, **figures)

        for part, pack in blocks(space, cohort, source, decoding):
            lesions = unlabelled_lesions(part, pack)
            present.append(lesions.present)
            for _ in pool.map(partial(show, table=part.table, lesions=lesions, turns=turns), networks):
                seen += len(part.ids)
                progress(seen, views)
    say_what_is_missing(space, cohort, source, np.concatenate(present))
    columns: dict[str, Floats] = {}
    everyone = np.full(len(cohort.ids), TEST_FOLD)
    for model in space.recipe.image_models:
        parts = [
            Predictions(cohort.ids, everyone, np.concatenate(network.found), cohort.task.probability_columns)
            for network in networks
            if network.model.name == model.name
        ]
        columns |= named_columns(model.name, mean_of(parts))
    frame = pl.DataFrame({"lesion_id": cohort.ids.tolist(), **columns})
    return frame.with_columns(pl.col(list(columns)).fill_nan(None))


def free_devices() -> list[str]:
    """Every CUDA device of the machine, or the one device there is."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["auto"]


def fold_networks(space: Workspace, folds: int, classes: int, devices: list[str]) -> list[FoldNetwork]:
    """Load every network of the run; they go round the devices in turn."""
    from image_models.predict import load_model

    jobs = [FoldModel(space, model, (fold,)) for model in space.recipe.image_models for fold in range(folds)]
    return [
        FoldNetwork(
            job.model, job.folder, load_model(job.weights_path, job.model, classes), devices[i % len(devices)], []
        )
        for i, job in enumerate(jobs)
    ]


def show(network: FoldNetwork, table: pl.DataFrame, lesions: "Lesions", turns: dict[str, threading.Lock]) -> None:
    """Show one block to one network, when its device is free."""
    with turns[network.device]:
        network.see(table, lesions)


def blocks(
    space: Workspace, cohort: Cohort, source: ImageSource | None, progress: Progress
) -> Iterator[tuple[Cohort, ImagePack | None]]:
    """The cohort in blocks with their decoded images; a block's images are gone when the next one is asked for."""
    if source is None or not sees_images(space):
        yield cohort, None
        return
    size, count = space.recipe.data.image_size, len(cohort.ids)
    width = max(1, BLOCK_BYTES // (size * size * 3))
    for first in range(0, count, width):
        part = replace(cohort, table=cohort.table[first : first + width])
        with tempfile.TemporaryDirectory(prefix="fusionnetx-") as scratch:
            yield (
                part,
                build_pack(
                    source,
                    part.ids,
                    Path(scratch) / "pack",
                    size=size,
                    max_missing_share=1.0,
                    workers=space.recipe.data.workers,
                    progress=progress,
                ),
            )


def refuse_no_images(space: Workspace, cohort: Cohort, source: ImageSource | None) -> None:
    """DataError when there are no images, or none of these lesions, and a network needs them."""
    if not sees_images(space):
        return
    if source is None:
        models = [model.name for model in space.recipe.image_models if model.backbone != "none"]
        raise DataError(
            f"no images were given, but {' and '.join(models)} of stage one see images: give them with --images"
        )
    if not np.isin(cohort.ids, source.ids).any():
        raise DataError(f"none of the {len(cohort.ids)} lesions has a usable image in {source!r}")


def say_what_is_missing(
    space: Workspace, cohort: Cohort, source: ImageSource | None, present: npt.NDArray[np.bool_]
) -> None:
    """Warn of lesions that are predicted from metadata alone; DataError when that is all of them."""
    if not present.any():
        raise DataError(f"none of the {len(cohort.ids)} lesions has a usable image in {source!r}")
    if not present.all():
        without = cohort.ids[~present]
        space.display.warn(f"{len(without)} lesions have no usable image ({examples(without)}): metadata alone")
