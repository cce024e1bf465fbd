"""Image scores of lesions that belong to no fold: decoded block by block, every fold's network on each block.

Half a million lesions at 224 px are 75 GB, more than the disk of a free notebook: a block is decoded once, seen by all
networks and forgotten. With several GPUs the networks are spread over them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, examples
from data.held import scratch_folder
from data.images.pack import ImagePack
from data.images.pack_build import build_pack
from data.images.sources import ImageSource
from data.predictions import TEST_FOLD, Predictions, mean_of
from data.progress import Progress
from data.recipe import DataRecipe
from image_models.recipe import ImageModelRecipe
from pipeline.columns import named, table_of
from pipeline.execute.shared import Shared
from pipeline.export.onnx_network import FILE, OnnxNetwork
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.fold_model import WEIGHTS, fold_model_of
from pipeline.steps.lesions import images_on_device, unlabelled_lesions
from pipeline.steps.metadata import with_stored_metadata

if TYPE_CHECKING:
    from torch import nn

    from image_models.lesions import Lesions

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Images = Callable[[Cohort], ImageSource | None]
"""Of some lesions."""

BLOCK_BYTES = 4 * 2**30
"""Decoded pixels on the disk at a time: 16,384 lesions at 224 px."""
FIRST = 10
"""More names of lesions without an image than are shown."""


@dataclass
class FoldNetwork:
    """A trained network of one fold, and the device it works on."""

    step: Step
    device: str
    ask: Callable[["Lesions", Rows], Floats]
    """What it says of some rows."""
    found: list[Floats] = field(default_factory=list)
    """Probabilities of the blocks so far."""

    @property
    def model(self) -> ImageModelRecipe:
        """The image model it belongs to."""
        return fold_model_of(self.step).model

    def see(self, table: pl.DataFrame, lesions: "Lesions", turns: dict[str, threading.Lock]) -> None:
        """Predict one block, when its device is free."""
        with turns[self.device]:
            shown = with_stored_metadata(self.model, self.step.folder, table, lesions)
            self.found.append(self.ask(shown, np.arange(len(lesions))))


def image_columns(
    fold_models: Sequence[Step], recipe: DataRecipe, runtime: Runtime, cohort: Cohort, source: ImageSource | None
) -> pl.DataFrame:
    """Mean over the fold models of every image model; null for a lesion without an image that the model needs.

    Of the recipe of the data, the size of the images and the processes that decode them count.
    """
    [columns] = columns_of_parts(fold_models, recipe, runtime, [cohort], lambda _: source)
    return columns


def columns_of_parts(
    fold_models: Sequence[Step], recipe: DataRecipe, runtime: Runtime, parts: Iterable[Cohort],
    images: Images, count: int | None = None,
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """The same of each part of a table of `count` lesions, and its images; parts are gone through twice."""
    count = sum(len(part.table) for part in parts) if count is None else count
    seeing = [name for name, model in models_of(fold_models).items() if model.backbone != "none"]
    refuse_no_images(seeing, parts, images, count)
    held = Shared()
    networks = fold_networks(fold_models, len(next(iter(parts)).task.classes), runtime.threads, held)
    devices = {network.device for network in networks}
    missing = Missing(count)
    turns = {device: threading.Lock() for device in devices}
    views, seen = count * len(networks), 0
    label = f"stage one: {count:,} lesions x {len(networks)} networks"
    with runtime.display.task(label) as progress, ThreadPoolExecutor(len(devices)) as pool:

        def decoding(done: int, total: int, **figures: float) -> None:
            progress(seen, views, **figures)

        for cohort in parts:
            source = images(cohort) if seeing else None
            for part, pack in blocks(recipe, cohort, source, decoding):
                lesions = unlabelled_lesions(part, pack)
                missing.see(part, lesions.present)
                for _ in pool.map(partial(FoldNetwork.see, table=part.table, lesions=lesions, turns=turns), networks):
                    seen += len(part.ids)
                    progress(seen, views)
                held.forget(*devices)
            yield said_so_far(networks, cohort)
    if words := missing.words(source):
        runtime.display.warn(words)


def said_so_far(networks: Sequence[FoldNetwork], cohort: Cohort) -> pl.DataFrame:
    """The columns of a part that all networks have seen; they forget what they said."""
    columns: dict[str, Floats] = {}
    everyone = np.full(len(cohort.ids), TEST_FOLD)
    for name in models_of([network.step for network in networks]):
        parts = [
            Predictions(cohort.ids, everyone, np.concatenate(network.found), cohort.task.probability_columns)
            for network in networks
            if network.model.name == name
        ]
        columns |= named(name, mean_of(parts))
    for network in networks:
        network.found.clear()
    return table_of(cohort.ids, columns)


def models_of(fold_models: Sequence[Step]) -> dict[str, ImageModelRecipe]:
    """The image models that some fold models belong to, by name."""
    return {fold_model_of(step).model.name: fold_model_of(step).model for step in fold_models}


def free_devices() -> list[str]:
    """Every CUDA device of the machine, or the one device there is."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["auto"]


def fold_networks(fold_models: Sequence[Step], classes: int, threads: int, held: Shared) -> list[FoldNetwork]:
    """Load the networks; they go round the devices in turn. Those of an exported run need no torch.

    `held` keeps the images of a block on the devices until it forgets them.
    """
    if all(FILE in step.artefacts() for step in fold_models):
        opened = (OnnxNetwork.open(step.folder / FILE, fold_model_of(step).model, threads) for step in fold_models)
        return [FoldNetwork(step, "cpu", one.predict) for step, one in zip(fold_models, opened, strict=True)]
    from image_models.predict import load_model, predict

    def asked(network: "nn.Module", model: ImageModelRecipe, device: str, lesions: "Lesions", rows: Rows) -> Floats:
        images = images_on_device(held, device, model, lesions, device)
        return predict(network, model, lesions, rows, device=device, held=images)

    found = []
    for step, device in zip(fold_models, cycle(free_devices()), strict=False):
        model = fold_model_of(step).model
        network = load_model(step.folder / WEIGHTS, model, classes)
        found.append(FoldNetwork(step, device, partial(asked, network, model, device)))
    return found


def blocks(
    recipe: DataRecipe, cohort: Cohort, source: ImageSource | None, progress: Progress
) -> Iterator[tuple[Cohort, ImagePack | None]]:
    """The cohort in blocks with their decoded images; a block's images are gone when the next one is asked for."""
    if source is None:
        yield cohort, None
        return
    size, count = recipe.image_size, len(cohort.ids)
    # A power of two: the batches that networks see are then those of the whole, wherever the table is parted.
    width = 1 << max(1, BLOCK_BYTES // (size * size * 3)).bit_length() - 1
    for first in range(0, count, width):
        part = replace(cohort, table=cohort.table[first : first + width])
        with scratch_folder() as scratch:
            folder = scratch / "pack"
            workers = recipe.workers
            pack = build_pack(
                source, part.ids, folder, size=size, max_missing_share=1.0, workers=workers, progress=progress
            )
            yield part, pack


def refuse_no_images(seeing: Sequence[str], parts: Iterable[Cohort], images: Images, count: int) -> None:
    """DataError when there are no images, or none of these lesions, and a network needs them."""
    if not seeing:
        return
    for part in parts:
        source = images(part)
        if source is None:
            raise DataError(
                f"no images were given, but {' and '.join(seeing)} of stage one see images: give them with --images"
            )
        if np.isin(part.ids, source.ids).any():
            return
    raise DataError(f"none of the {count} lesions has a usable image in {source!r}")


@dataclass
class Missing:
    """Of which lesions networks that see images say nothing."""

    count: int
    """Lesions of the table."""
    without: int = 0
    first: list[str] = field(default_factory=list)

    def see(self, part: Cohort, present: npt.NDArray[np.bool_]) -> None:
        """Count another part."""
        absent = part.ids[~present]
        self.without += len(absent)
        self.first = [*self.first, *absent[:FIRST].tolist()][:FIRST]

    def words(self, source: ImageSource | None) -> str | None:
        """What to say of them, if anything; DataError when that is all lesions."""
        if self.without == self.count:
            raise DataError(f"none of the {self.count} lesions has a usable image in {source!r}")
        if not self.without:
            return None
        return f"{self.without} lesions have no usable image ({examples(self.first)}): no word of networks on them"
