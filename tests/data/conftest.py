"""Small files as published, for the tests of the readers."""

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from PIL import Image

from data.schemas.isic2024 import SCHEMA, TEST_SCHEMA
from data.tables.schema import Column


def jpeg(seed: int, width: int = 40, height: int | None = None, **options: object) -> bytes:
    """A JPEG with a smooth coloured pattern, so that compression changes little."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    out = io.BytesIO()
    coarse.resize((width, height or width), Image.Resampling.BICUBIC).save(out, "JPEG", **{"quality": 95, **options})
    return out.getvalue()


def _cell(column: Column, i: int) -> str:
    if column.name == "isic_id":
        return f"ISIC_{i:07d}"
    if column.name == "patient_id":
        return f"IP_{i // 3:07d}"
    if column.name == "target":
        return str(int(i % 4 == 0))
    if column.kind == "integer":
        return str(5 * (i % 36))
    if column.kind == "number":
        return f"{0.5 + i % 50 / 100}"
    if column.known:
        return column.known[i % len(column.known)]
    return "" if column.train_only else f"{column.name} {i % 2}"


def table(columns: tuple[Column, ...], first: int, rows: int) -> pl.DataFrame:
    """A table of texts with plausible cells."""
    return pl.DataFrame({c.name: [_cell(c, i) for i in range(first, first + rows)] for c in columns})


def write_images(path: Path, images: dict[str, bytes]) -> None:
    """Write an HDF5 file as Kaggle publishes it."""
    with h5py.File(path, "w") as file:
        for name, data in images.items():
            file.create_dataset(name, data=np.bytes_(data))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder of 12 training and 3 test lesions in the files and forms that Kaggle publishes."""
    folder = tmp_path / "isic2024"
    folder.mkdir()
    for part, columns, first, rows in (("train", SCHEMA, 0, 12), ("test", TEST_SCHEMA, 100, 3)):
        frame = table(columns, first, rows)
        frame.write_csv(folder / f"{part}-metadata.csv")
        write_images(folder / f"{part}-image.hdf5", {name: jpeg(i) for i, name in enumerate(frame["isic_id"])})
    frame.select("isic_id", target=pl.lit(0.3)).write_csv(folder / "sample_submission.csv")
    return folder


@pytest.fixture
def make_jpeg() -> Callable[..., bytes]:
    """Make a JPEG: `make_jpeg(seed, width, height, **options of Pillow)`."""
    return jpeg


@pytest.fixture
def make_images() -> Callable[[Path, dict[str, bytes]], None]:
    """Write an HDF5 file of images."""
    return write_images
