"""What the tests of this folder share."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.images.pack import ImagePack
from data.images.pack_build import build_pack
from data.images.sources import Hdf5Images

SIZE = 16


N = 23


def ids_of(source: Hdf5Images) -> np.ndarray:
    """The lesions in an order of their own, one of which has no image."""
    return np.array([*np.random.default_rng(0).permutation(source.ids).tolist(), "lesion_absent"])


def build(source: Hdf5Images, folder: Path, **options: object) -> ImagePack:
    return build_pack(source, ids_of(source), folder, **{"size": SIZE, "max_missing_share": 0.2, **options})


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as handle:
        handle.seek(position, os.SEEK_END)
        byte = handle.read(1)[0]
        handle.seek(position, os.SEEK_END)
        handle.write(bytes([byte ^ 1]))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "pixel in the last chunk": lambda folder: flip(folder / "images.npy", -5),
    "pixel in the middle": lambda folder: flip(folder / "images.npy", -11 * SIZE * SIZE * 3),
    "header": lambda folder: flip(folder / "images.npy", -(N + 1) * SIZE * SIZE * 3 - 60),
    "cut images": lambda folder: os.truncate(folder / "images.npy", 5000),
    "empty images": lambda folder: os.truncate(folder / "images.npy", 0),
    "no images": lambda folder: (folder / "images.npy").unlink(),
    "id": lambda folder: flip(folder / "ids.npy", -4),
    "mask": lambda folder: flip(folder / "present.npy", -1),
    "cut mask": lambda folder: os.truncate(folder / "present.npy", 100),
    "other mask": lambda folder: np.save(folder / "present.npy", np.ones(3, bool)),
    "report cut": lambda folder: os.truncate(folder / "report.json", 50),
    "report of another kind": lambda folder: (folder / "report.json").write_text("[1, 2]"),
    "report without checksums": lambda folder: (folder / "report.json").write_text(
        json.dumps({**json.loads((folder / "report.json").read_text()), "checksums": {}})
    ),
    "report of another version": lambda folder: (folder / "report.json").write_text(
        json.dumps({**json.loads((folder / "report.json").read_text()), "format": 99})
    ),
    "pickled ids": lambda folder: np.save(folder / "ids.npy", np.array(["a", 1], dtype=object), allow_pickle=True),
    "no report": lambda folder: (folder / "report.json").unlink(),
}
