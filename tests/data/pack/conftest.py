from collections.abc import Callable
from pathlib import Path

import pytest

from data.images import pack_pixels
from data.images.sources import Hdf5Images
from tests.data.pack.shared import SIZE, N


@pytest.fixture
def source(tmp_path: Path, make_jpeg: Callable[..., bytes], make_images: Callable[..., None]) -> Hdf5Images:
    images = {f"lesion_{i:03d}": make_jpeg(i, 30 + i) for i in range(N)}
    images["lesion_004"] = images["lesion_004"][:300]
    images["lesion_017"] = b"GIF89a"
    make_images(tmp_path / "images.hdf5", images)
    return Hdf5Images(tmp_path / "images.hdf5")


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_pixels, "CHUNK_BYTES", 4 * SIZE * SIZE * 3)
