"""Batches of uint8 images (or of the vectors kept in their place) on the device, gathered by row.

Either every row that a fit will show is put on the device once, or background threads gather the next batches from the
image pack's memory map (into page-locked memory for CUDA) while the device works. Nothing is done image by image;
changing the images is left to `augment.py`, making vectors of them to `frozen.py`.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from data.images.shards import Pixels, take
from image_models.device import free_memory_bytes
from image_models.keys.computing import RuntimeRecipe
from image_models.lesions import Ints, Lesions

GATHERERS = 3
"""Threads that read the pack for a GPU. For a CPU one does: its cores have the network to compute."""
AHEAD = 4
"""Batches gathered ahead of the device."""
UPLOAD_ROWS = 256
"""Rows copied at once when images move to the device to stay; page-locked memory of some such blocks is kept."""
RESIDENT_SHARE = 1 / 8
"""Of a GPU's free memory that images may take of their own accord: four processes that look at the same moment then
take half of it together, and leave the rest to their networks."""


@dataclass(frozen=True)
class Batch:
    """Some lesions, in the order asked for."""

    rows: Ints
    images: Tensor
    """(N, side, side, 3) uint8 on the device, or (N, width) float32: vectors in place of images."""
    labels: Tensor
    """(N,) int64 on the device."""
    metadata: Tensor | None
    """(N, m) float32 on the device."""

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for tensor in (self.images, self.labels, self.metadata) if tensor is not None]


@dataclass(frozen=True)
class Resident:
    """Images that live on the device, or vectors in their place: `images[i]` is that of lesion `rows[i]`."""

    rows: Ints
    """Ascending."""
    images: Tensor


def resident_images(recipe: RuntimeRecipe, lesions: Lesions, rows: Ints, device: torch.device) -> Resident | None:
    """Put the images of `rows` (ascending) on the device if the recipe asks for it, or if they fit comfortably."""
    if device.type == "cpu" or recipe.resident == "host":
        return None
    size = len(rows) * int(np.prod(lesions.images.shape[1:]))
    if recipe.resident == "auto" and (device.type != "cuda" or size > RESIDENT_SHARE * free_memory_bytes(device)):
        return None
    images = torch.empty((len(rows), *lesions.images.shape[1:]), dtype=torch.uint8, device=device)
    start = 0
    parts = [rows[i : i + UPLOAD_ROWS] for i in range(0, len(rows), UPLOAD_ROWS)]
    for part in gathered(lesions.images, parts, device):
        images[start : start + len(part)] = part
        start += len(part)
    return Resident(rows, images)


def batches(
    lesions: Lesions, labels: Ints, parts: Sequence[Ints], device: torch.device, resident: Resident | None = None
) -> Generator[Batch]:
    """The batches named by `parts`, one after the other; `labels` is by row, as everything in `lesions`."""
    if not parts:
        return
    every_row = np.concatenate(parts)
    # Labels, metadata and positions of all batches move at once: many tiny copies would stall a GPU.
    known = torch.from_numpy(labels[every_row]).to(device)
    metadata = None if lesions.metadata is None else torch.from_numpy(lesions.metadata[every_row]).to(device)
    if resident is None:
        images: Iterator[Tensor] = gathered(lesions.images, parts, device)
    else:
        places = torch.from_numpy(np.searchsorted(resident.rows, every_row)).to(device)
        images = (resident.images[part] for part in torch.split(places, [len(part) for part in parts]))
    start = 0
    for rows, batch in zip(parts, images, strict=True):
        end = start + len(rows)
        yield Batch(rows, batch, known[start:end], None if metadata is None else metadata[start:end])
        start = end


class OnDevice(Protocol):
    """Something made of tensors on the device."""

    def tensors(self) -> list[Tensor]:
        """Every tensor."""


Item = TypeVar("Item", bound=OnDevice)


def overlapped(items: Iterator[Item], device: torch.device) -> Iterator[Item]:
    """Make each item while the device works on the one before; on devices other than CUDA just pass them on.

    Items are made on a CUDA stream of their own. Their small copies to the device make the processor wait for that
    stream alone, not for the network's kernels queued on the main one.
    """
    if device.type != "cuda":
        yield from items
        return
    network = torch.cuda.current_stream(device)
    side = side_stream(torch.cuda.current_device() if device.index is None else device.index)
    side.wait_stream(network)  # what the items are made from was put on the device there

    def make() -> Item | None:
        with torch.cuda.stream(side):
            return next(items, None)

    item = make()
    while item is not None:
        network.wait_stream(side)
        for tensor in item.tensors():
            # The memory may be used again only when the network is through with it.
            tensor.record_stream(network)
        yield item
        item = make()


@cache
def side_stream(device: int) -> torch.cuda.Stream:
    """The stream of a GPU on which items are made: memory freed on a stream is kept for that very stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def gathered(images: Pixels, parts: Sequence[Ints], device: torch.device) -> Generator[Tensor]:
    """Images of each part on the device, read from the pack by threads that stay a few parts ahead."""

    def gather(rows: Ints) -> Tensor:
        # PyTorch reuses a page-locked block only after the copies from it have finished.
        block = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8, pin_memory=device.type == "cuda")
        take(images, rows, block.numpy())
        return block

    remaining = iter(parts)
    with ThreadPoolExecutor(GATHERERS if device.type == "cuda" else 1, thread_name_prefix="gather") as threads:
        waiting: deque[Future[Tensor]] = deque(threads.submit(gather, rows) for rows in islice(remaining, AHEAD))
        while waiting:
            block = waiting.popleft().result()
            for rows in islice(remaining, 1):
                waiting.append(threads.submit(gather, rows))
            yield block.to(device, non_blocking=device.type == "cuda")
