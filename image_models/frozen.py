"""Image vectors of a frozen network: computed once, kept on disk, trained on in place of images.

What is kept belongs to the network's image branches (their very weights), the image pack, the size, the number format
and the batches; anything else gets a folder of its own. It is written in parts, so that an interrupted computation goes
on with the part it was at, and every part carries its checksum. Heads are trained in `fit.py`.
"""

import fcntl
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from data.files import fingerprint
from data.progress import Progress, silent
from image_models.device import explained_out_of_memory
from image_models.lesions import Ints, Lesions
from image_models.networks.image_model import FusionModel, ImageModel, Network
from image_models.precision import autocast
from image_models.recipe import ImageModelRecipe
from image_models.setup import Setup
from image_models.tensor_file import read_tensors, require_intact, write_tensors
from image_models.training.inputs import plain_inputs, predicted_at_once
from image_models.training.loader import Resident, overlapped

Floats = npt.NDArray[np.float32]

PART_ROWS = 4096
"""Lesions per file, and most that an interruption loses: 20 MB at 1,280 numbers each."""

WAIT_SECONDS = 0.2
"""Between looks at a part that another process is making."""

log = logging.getLogger(__name__)


def kept_vectors(
    model: nn.Module,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    setup: Setup,
    *,
    cache_dir: Path | None = None,
    progress: Progress = silent,
) -> Resident:
    """The vectors of `rows` (ascending, with images) on the device; empty ones for a network without images.

    With `cache_dir` and lesions whose images have a fingerprint, the vectors of all lesions are computed and kept.
    """
    if recipe.backbone == "none" or len(rows) == 0:
        return Resident(rows, torch.empty((len(rows), 0), device=setup.device))
    assert isinstance(model, ImageModel | FusionModel)
    maker = _Maker(model.eval(), recipe, lesions, setup, progress)
    if cache_dir is None or not lesions.images_fingerprint:
        vectors = maker.compute(rows, 0, len(rows))
    else:
        vectors = _from_disk(cache_dir / "image_vectors" / maker.key(), maker, rows)
    return Resident(rows, torch.from_numpy(vectors).to(setup.device))


@dataclass(frozen=True)
class _Maker:
    """Computes vectors of lesions with one network."""

    model: Network
    recipe: ImageModelRecipe
    lesions: Lesions
    setup: Setup
    progress: Progress

    def key(self) -> str:
        """Name of everything that the vectors depend on."""
        recipe = self.recipe
        facts: dict[str, Any] = {
            "images": self.lesions.images_fingerprint,
            "weights": _branch_checksum(self.model),
            "branches": [[branch.backbone, branch.head, branch.image_size] for branch in recipe.image_branches()],
            # Not the numbers but their rounding depends on these, and two runs must agree to the bit.
            "batch": predicted_at_once(recipe, self.setup.device),
            "channels_last": recipe.channels_last,
            "precision": self.setup.precision,
            "device": self.setup.device.type,
            "versions": [torch.__version__, timm.__version__],
        }
        if self.setup.precision != "fp32":
            facts["pooled"] = "fp32"  # once it was in the network's own format
        return fingerprint(facts)[:32]

    def compute(self, rows: Ints, before: int, total: int) -> Floats:
        """Vectors of rows that have images; `before` and `total` are what progress is counted from and towards."""
        found: list[Tensor] = []
        done = before
        remedy = f"lower predict_batch_size (now {self.recipe.predict_batch_size}) of image model {self.recipe.name}"
        device, ranks = self.setup.device, self.setup.ranks
        mine = rows[ranks.share(len(rows))]
        inputs = plain_inputs(self.recipe, self.lesions, mine, self.setup)
        with torch.inference_mode(), explained_out_of_memory(remedy, device), closing(inputs):
            for batch in overlapped(inputs, device):
                assert batch.shown.pixels is not None
                with autocast(self.setup.precision, device):
                    # They stay on the device until all are there: fetching each batch would keep it waiting.
                    found.append(self.model.image_vectors(batch.shown.pixels))
                done += batch.count * len(rows) // len(mine)
                self.progress(done, total)
        if not len(rows):
            return np.empty((0, 0), np.float32)
        # A process without a row learns from the first one how wide a vector is.
        width = ranks.agreed(list(found[0].shape[1:]) if found else None)
        own = torch.cat(found) if found else torch.empty(0, *width, device=device)
        vectors: Floats = ranks.joined(own, len(rows)).cpu().numpy()
        return vectors


def _from_disk(folder: Path, maker: _Maker, rows: Ints) -> Floats:
    """Vectors of `rows` out of the parts in `folder`, after computing the parts that are not there.

    Processes that need the same parts share them out: each first takes those that no other is at, then waits for the
    rest.
    """
    present = maker.lesions.present
    starts = range(0, len(present), PART_ROWS)
    inside = {start: np.flatnonzero(present[start : start + PART_ROWS]) + start for start in starts}
    found: dict[int, Floats] = {}
    done = 0
    while len(found) < len(starts):
        before = len(found)
        for start in [start for start in starts if start not in found]:
            vectors = _part(folder / f"{start:08}.safetensors", maker, inside[start], done)
            if vectors is not None:
                done += len(vectors)
                found[start] = vectors[np.isin(inside[start], rows)]
        if before == len(found):
            time.sleep(WAIT_SECONDS)
            maker.progress(done, int(present.sum()))
    return np.concatenate([found[start] for start in starts if len(found[start])])


def _part(path: Path, maker: _Maker, rows: Ints, done: int) -> Floats | None:
    """The vectors of one part, computed where they are not there; None while another process is at it."""
    ranks, total = maker.setup.ranks, int(maker.lesions.present.sum())
    missing = ranks.agreed(not path.exists() if ranks.leads else None)
    vectors = ranks.agreed_array(_read(path, len(rows)) if ranks.leads else None)
    if vectors is not None:
        return vectors
    with _own(path) if ranks.leads else nullcontext(False) as own:
        if not ranks.agreed(own if ranks.leads else None):
            return None
        if missing:  # another may have made it in between
            vectors = ranks.agreed_array(_read(path, len(rows)) if ranks.leads else None)
        if vectors is None:
            vectors = maker.compute(rows, done, total)
            if ranks.leads:
                _write(path, vectors)
    return vectors


@contextmanager
def _own(path: Path) -> Iterator[bool]:
    """Whether a part is this process's to make, and no other's while this lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _write(path: Path, vectors: Floats) -> None:
    write_tensors(path, {"vectors": torch.from_numpy(vectors)}, {})


def _read(path: Path, count: int) -> Floats | None:
    """The vectors of one part; None when it is not there, or not whole."""
    if not path.exists():
        return None
    try:
        require_intact(path)
        vectors: Floats = read_tensors(path)["vectors"].numpy()
        if len(vectors) == count:
            return vectors
        problem = f"it has {len(vectors)} vectors instead of {count}"
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        problem = str(error)
    log.warning("%s is damaged (%s); computing those image vectors again", path, problem)
    return None


def _branch_checksum(model: Network) -> str:
    """Checksum of every weight that image vectors depend on."""
    digest = hashlib.sha256()
    for branch in model.branches:
        for part in (branch.backbone, branch.pool, branch.norm):
            for name, tensor in part.state_dict().items():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
