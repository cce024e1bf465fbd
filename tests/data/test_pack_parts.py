import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.images import pack_pixels
from data.images.pack import ImagePack
from data.images.pack_build import build_pack
from data.images.sources import Hdf5Images

N, SIZE, PER_PART = 23, 12, 7


class Counted(Hdf5Images):
    """Images that remember which of them were read, and that stop when told."""

    def __init__(self, path: Path, stop_at: str = "") -> None:
        super().__init__(path)
        self.seen: list[str] = []
        self.stop_at = stop_at

    def read(self, lesion_id: str) -> bytes:
        if lesion_id == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(lesion_id)
        return super().read(lesion_id)


@pytest.fixture
def path(tmp_path: Path, make_jpeg: Callable[..., bytes], make_images: Callable[..., None]) -> Path:
    images = {f"lesion_{i:03d}": make_jpeg(i, 30 + i) for i in range(N)}
    images["lesion_004"] = images["lesion_004"][:300]
    images["lesion_017"] = b"GIF89a"
    make_images(tmp_path / "images.hdf5", images)
    return tmp_path / "images.hdf5"


def build(source: Hdf5Images, folder: Path, per_part: int | None = PER_PART, share: float = 0.2) -> ImagePack:
    return build_pack(source, source.ids, folder, size=SIZE, lesions_per_part=per_part, max_missing_share=share,
                      workers=1)  # fmt: skip


def test_parts_hold_what_one_pack_holds(path: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    source = Hdf5Images(path)
    parts = build_pack(source, source.ids, tmp_path / "parts", size=SIZE, lesions_per_part=PER_PART, workers=1,
                       max_missing_share=0.2, progress=lambda done, total, **_: told.append((done, total)))  # fmt: skip
    whole = build(source, tmp_path / "whole", None)
    for one in (parts, ImagePack.open(tmp_path / "parts"), ImagePack.open(tmp_path / "parts", verify="full")):
        assert (one.fingerprint, one.missing, one.size) == (whole.fingerprint, whole.missing, SIZE)
        np.testing.assert_array_equal(one.ids, whole.ids)
        np.testing.assert_array_equal(one.present, whole.present)
        np.testing.assert_array_equal(np.asarray(one.images), whole.images)
    assert sorted(entry.name for entry in (tmp_path / "parts").iterdir()) == [
        "part-00000", "part-00001", "part-00002", "part-00003", "report.json"
    ]  # fmt: skip
    assert told == sorted(told)
    assert told[-1] == (N, N)


def test_a_build_that_was_stopped_goes_on_with_the_next_part(path: Path, tmp_path: Path):
    stopped = Counted(path, stop_at="lesion_015")
    with pytest.raises(KeyboardInterrupt):
        build(stopped, tmp_path / "pack")
    with pytest.raises(DataError, match="no finished image pack"):
        ImagePack.open(tmp_path / "pack")
    again = Counted(path)
    pack = build(again, tmp_path / "pack")
    assert min(again.seen) == "lesion_014"
    np.testing.assert_array_equal(np.asarray(pack.images), build(Counted(path), tmp_path / "whole", None).images)
    finished = Counted(path)
    build(finished, tmp_path / "pack", per_part=3)  # a finished pack is taken as it is
    assert not finished.seen


def test_a_damaged_part_is_named_and_alone_made_again(path: Path, tmp_path: Path):
    build(Counted(path), tmp_path / "pack")
    pixels = tmp_path / "pack" / "part-00001" / "images.npy"
    data = bytearray(pixels.read_bytes())
    data[-5] ^= 1
    pixels.write_bytes(data)
    with pytest.raises(DataError, match=r"part-00001 is damaged \(rows 0 to 6"):
        ImagePack.open(tmp_path / "pack")
    again = Counted(path)
    build(again, tmp_path / "pack")
    assert sorted(again.seen) == [f"lesion_{i:03d}" for i in range(7, 14)]


def test_parts_of_other_sizes_or_of_another_pack_are_not_mixed(path: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        build(Counted(path, stop_at="lesion_022"), tmp_path / "pack", per_part=4)
    pack = build(Counted(path), tmp_path / "pack")
    assert len(list((tmp_path / "pack").glob("part-*"))) == 4
    np.testing.assert_array_equal(pack.ids, Hdf5Images(path).ids)
    shutil.rmtree(tmp_path / "pack" / "part-00000")
    shutil.copytree(tmp_path / "pack" / "part-00001", tmp_path / "pack" / "part-00000")
    with pytest.raises(DataError, match="part-00000 is a part of another pack"):
        ImagePack.open(tmp_path / "pack")


def test_one_file_gives_way_to_parts_and_parts_to_one_file(path: Path, tmp_path: Path):
    folder = tmp_path / "pack"
    build(Counted(path), folder, None)
    (folder / "present.npy").write_bytes(b"")
    build(Counted(path), folder)
    assert not (folder / "images.npy").exists()
    (folder / "part-00002" / "ids.npy").unlink()
    assert (build(Counted(path), folder, None).folder / "images.npy").exists()
    assert not list(folder.glob("part-*"))
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_too_many_missing_images_are_counted_over_all_parts(path: Path, tmp_path: Path):
    with pytest.raises(DataError, match="2 of 23 lesions have no usable image"):
        build(Counted(path), tmp_path / "pack", share=0.05)


def test_workers_decode_parts_side_by_side(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pack_pixels, "CHUNK_BYTES", 2 * SIZE * SIZE * 3)
    source = Hdf5Images(path)
    many = build_pack(source, source.ids, tmp_path / "many", size=SIZE, lesions_per_part=PER_PART, workers=3,
                      max_missing_share=0.2)  # fmt: skip
    np.testing.assert_array_equal(np.asarray(many.images), build(source, tmp_path / "one", None).images)
