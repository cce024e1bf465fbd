import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import DataError
from data.images.sources import FolderImages, Hdf5Images, sampled_checksum

Write = Callable[[Path, dict[str, bytes]], None]
BYTES = {"b": b"\xff\xd8 two \0\0", "a": b"one", "c": b"\0"}


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    path = tmp_path / "images.hdf5"
    with h5py.File(path, "w") as file:
        for name, data in BYTES.items():
            file.create_dataset(name, data=np.void(data))
    return path


def test_hdf5_gives_sorted_ids_and_exact_bytes(hdf5: Path) -> None:
    source = Hdf5Images(hdf5)
    assert source.ids.tolist() == ["a", "b", "c"]
    assert {name: source.read(name) for name in source.ids.tolist()} == BYTES


def test_every_published_form_of_a_byte_string_is_read(tmp_path: Path) -> None:
    data = b"\xff\xd8\x01\x02\xff\xd9"
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file["fixed"] = np.bytes_(data)
        file.create_dataset("variable", data=data, dtype=h5py.string_dtype())
        file["opaque"] = np.void(data)
        file["array"] = np.frombuffer(data, np.uint8)
        file.create_dataset("compressed", data=np.frombuffer(data, np.uint8), compression="gzip")
    source = Hdf5Images(tmp_path / "f.hdf5")
    assert {source.read(name) for name in source.ids.tolist()} == {data}


def test_an_open_source_is_pickled_and_read_in_another_process(hdf5: Path) -> None:
    source = Hdf5Images(hdf5)
    source.read("a")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(source.read, "b").result() == BYTES["b"]


@pytest.mark.parametrize("name", ["z", "", ".", "/", "/a", "a/b", "..", "ä"])
def test_unknown_ids_are_refused(hdf5: Path, name: str) -> None:
    with pytest.raises(DataError, match="no image of"):
        Hdf5Images(hdf5).read(name)


def test_nothing_outside_the_file_is_followed(tmp_path: Path, hdf5: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret!!")
    with h5py.File(tmp_path / "links.hdf5", "w") as file:
        file["external"] = h5py.ExternalLink(str(hdf5), "a")
        file["soft"] = h5py.SoftLink("/external")
        file.create_dataset("storage", (8,), np.uint8, external=[(str(tmp_path / "secret.bin"), 0, 8)])
        layout = h5py.VirtualLayout((3,), np.uint8)
        layout[:] = h5py.VirtualSource(str(hdf5), "v", (3,))
        file.create_virtual_dataset("virtual", layout)
    source = Hdf5Images(tmp_path / "links.hdf5")
    for name in source.ids.tolist():
        with pytest.raises(DataError, match="not followed"):
            source.read(name)


def test_things_that_are_no_images_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file.create_group("group").create_dataset("image", data=np.void(b"x"))
        file["pixels"] = np.zeros((4, 4, 3), np.uint8)
        file["number"] = 3.5
        file["empty"] = h5py.Empty("f")
        file.create_dataset("huge", (2**34,), np.uint8)
    source = Hdf5Images(tmp_path / "f.hdf5")
    for name, reason in (
        ("group", "is a group"),
        ("pixels", "not an image"),
        ("number", "not an image"),
        ("empty", "not an image"),
        ("huge", "16,384 MiB"),
    ):
        with pytest.raises(DataError, match=reason):
            source.read(name)


def test_a_file_cut_in_half_says_so(hdf5: Path) -> None:
    hdf5.write_bytes(hdf5.read_bytes()[: hdf5.stat().st_size // 2])
    with pytest.raises(DataError, match="ends too early"):
        _ = Hdf5Images(hdf5).ids


def test_files_that_are_not_hdf5_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_bytes(b"PK\3\4 not hdf5")
    with pytest.raises(DataError, match="not an HDF5 file"):
        _ = Hdf5Images(tmp_path / "x.hdf5").fingerprint
    with pytest.raises(DataError, match="does not exist"):
        Hdf5Images(tmp_path / "none.hdf5").read("a")


def test_damage_inside_the_file_never_escapes_as_another_error(hdf5: Path) -> None:
    whole = bytearray(hdf5.read_bytes())
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(60):
        damaged = whole.copy()
        for position in rng.integers(0, len(whole), 20):
            damaged[position] = rng.integers(256)
        path = hdf5.with_name("damaged.hdf5")
        path.unlink(missing_ok=True)
        path.write_bytes(damaged)
        source = Hdf5Images(path)
        try:
            for name in source.ids.tolist():
                source.read(name)
        except DataError:
            failed += 1
    assert failed > 10


def test_folder_reads_any_depth_and_any_case(tmp_path: Path) -> None:
    (tmp_path / "image" / "deep").mkdir(parents=True)
    (tmp_path / ".thumbnails").mkdir()
    for name in ("image/a.jpg", "image/deep/b.JPEG", "c.Png", "d.bmp", "._e.jpg", ".thumbnails/f.jpg", "g.txt"):
        (tmp_path / name).write_bytes(name.encode())
    source = FolderImages(tmp_path)
    assert source.ids.tolist() == ["a", "b", "c", "d"]
    assert source.read("b") == b"image/deep/b.JPEG"
    assert pickle.loads(pickle.dumps(source)).read("c") == b"c.Png"  # noqa: S301 - our own object
    with pytest.raises(DataError, match="no image of g"):
        source.read("g")


def test_folder_names_two_images_of_one_lesion(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("a.jpg", "more/a.png"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"two images of one lesion: .*a\.jpg and more/a\.png"):
        _ = FolderImages(tmp_path).ids


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        _ = FolderImages(tmp_path / "none").ids
    (tmp_path / "empty").mkdir()
    assert FolderImages(tmp_path / "empty").ids.tolist() == []
    assert FolderImages(tmp_path / "empty").fingerprint


def test_fingerprints_follow_content_and_not_place(tmp_path: Path, hdf5: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed.hdf5"
    moved.parent.mkdir()
    moved.write_bytes(hdf5.read_bytes())
    assert Hdf5Images(moved).fingerprint == Hdf5Images(hdf5).fingerprint
    with h5py.File(moved, "r+") as file:
        file["d"] = np.void(b"more")
    assert Hdf5Images(moved).fingerprint != Hdf5Images(hdf5).fingerprint

    prints = set()
    for place, files in (("x", {"a.jpg": b"1", "b.jpg": b"2"}), ("y", {"a.jpg": b"1", "b.jpg": b"3"})):
        (tmp_path / place).mkdir()
        for name, data in files.items():
            (tmp_path / place / name).write_bytes(data)
        prints.add(FolderImages(tmp_path / place).fingerprint)
    (tmp_path / "y" / "b.jpg").write_bytes(b"2")
    assert FolderImages(tmp_path / "y").fingerprint in prints
    assert len(prints) == 2


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**22 + 12345, 2**23])
def test_sampled_checksum_sees_head_tail_and_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    data = bytearray(np.random.default_rng(0).bytes(size))
    path.write_bytes(data)
    before = sampled_checksum(path)
    path.write_bytes(data + b"x")
    assert sampled_checksum(path) != before
    for position in {0, size - 1} if size else ():
        data[position] ^= 1
        path.write_bytes(data)
        assert sampled_checksum(path) != before
        data[position] ^= 1
