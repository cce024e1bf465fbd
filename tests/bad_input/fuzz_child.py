"""The readers of the project in a process of their own, which may die, hang or run out of memory without harm.

Takes (reader, bytes) on stdin, answers on stdout: `read`, `refused` (one of the project's own errors) or `escaped`
(anything else). `test_fuzz.py` starts it and counts.
"""

import json
import os
import resource
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.errors import FusionNetXError

MEMORY_BYTES = 2**31
"""Address space that reading may take beyond what the process holds with every library loaded."""

Reader = Callable[[Path], object]


def read_metadata(path: Path) -> object:
    """A training table, in a folder of its own beside an empty folder of images."""
    from data.readers.isic2024 import read

    (path.parent / "train-image").mkdir(exist_ok=True)
    return read(path.replace(path.parent / "train-metadata.csv").parent)


def read_recipe(path: Path) -> object:
    """A recipe."""
    from pipeline.recipe import load_recipe

    return load_recipe(str(path.replace(path.with_suffix(".toml"))))


def read_image(path: Path) -> object:
    """An encoded image, as a pack decodes it."""
    from data.images.decode import decode

    return decode(path.read_bytes(), 32)


def read_hdf5(path: Path) -> object:
    """Every image of an HDF5 file."""
    from data.images.sources import Hdf5Images

    return read_all(Hdf5Images(path))


def read_zip(path: Path) -> object:
    """Every image of a zip archive."""
    from data.images.zipped import ZippedImages

    return read_all(ZippedImages(path))


def read_all(source: Any) -> object:
    """Every image of a source; an image that is refused does not keep the next from being read."""
    refused: FusionNetXError | None = None
    for name in source.ids.tolist():
        try:
            source.read(name)
        except FusionNetXError as error:
            refused = error
    if refused is not None:
        raise refused
    return source.fingerprint


def read_folds(path: Path) -> object:
    """A fold file as parquet."""
    import polars as pl

    from data.cohort import Cohort
    from data.folds import Folds
    from data.schemas.isic2024 import TASK

    n = 24
    table = {
        "isic_id": [f"ISIC_{i:03d}" for i in range(n)],
        "patient_id": [f"IP_{i // 2}" for i in range(n)],
        "target": [i % 2 for i in range(n)],
    }
    return Folds.read(path, Cohort(pl.DataFrame(table), TASK, labelled=True))


def read_predictions(path: Path) -> object:
    """A predictions table."""
    from data.predictions import Predictions

    return Predictions.read(path)


def read_model(path: Path) -> object:
    """A trained network."""
    from image_models.networks.model_file import load_model
    from image_models.recipe import ImageModelRecipe

    recipe = ImageModelRecipe(name="tiny", backbone="lesion_net", pretrained="none", image_size=32, hidden=4)
    return load_model(path, recipe, 1)


def read_member(folder: Path) -> Reader:
    """A fitted member whose model file is the one given; the manifest beside it is the sound one's."""

    def read(path: Path) -> object:
        import numpy as np

        from data.matrix import Matrix
        from tabular.crossfit import MANIFEST, predict_member
        from tabular.recipe import MemberRecipe

        manifest = json.loads((folder / MANIFEST).read_text())
        path.replace(folder / manifest["models"][0]["file"])
        names = tuple(manifest["features"])
        matrix = Matrix(np.zeros((3, len(names)), np.float32), names, ("f",) * len(names), (), ())
        member = MemberRecipe(name="m", booster=manifest["booster"])
        return predict_member(member, folder, matrix, np.arange(3))

    return read


def bare(booster: str) -> Reader:
    """A library's loader without the checksum that stands before it: what the checksum is for."""

    def read(path: Path) -> object:
        from tabular.learners.registry import LEARNERS

        return LEARNERS[booster].load(path, 3, 2)

    return read


READERS: dict[str, Reader] = {
    "metadata": read_metadata,
    "recipe": read_recipe,
    "image": read_image,
    "hdf5": read_hdf5,
    "zip": read_zip,
    "folds": read_folds,
    "predictions": read_predictions,
    "model": read_model,
    "bare lightgbm": bare("lightgbm"),
    "bare xgboost": bare("xgboost"),
    "bare catboost": bare("catboost"),
}


def outcome(read: Reader, data: bytes) -> tuple[str, str]:
    """What reading these bytes came to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        try:
            read(path)
        except FusionNetXError as error:
            return ("refused", str(error)) if str(error).strip() else ("escaped", "an error without a message")
        except BaseException:  # what a damaged file raises is the question
            return "escaped", traceback.format_exc(limit=-6)
    return "read", ""


def bound_memory() -> None:
    """Let the process have MEMORY_BYTES more than it has now."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))


def main() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries print on standard output as they like
    questions = sys.stdin.buffer
    warnings.simplefilter("ignore")
    warm: set[str] = set()
    while header := questions.read(6):
        name_length, data_length = struct.unpack(">HI", header)
        name, data = questions.read(name_length).decode(), questions.read(data_length)
        kind, _, folder = name.partition(":")
        read = read_member(Path(folder)) if kind == "member" else READERS[kind]
        first = name not in warm
        if first:  # a sound input, which loads the reader's libraries
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        result = outcome(read, data)
        if first:
            warm.add(name)
            bound_memory()
        reply: Any = json.dumps(result).encode()
        answers.write(struct.pack(">I", len(reply)) + reply)
        answers.flush()


if __name__ == "__main__":
    main()
