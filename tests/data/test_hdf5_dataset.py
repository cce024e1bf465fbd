import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.images import hdf5_dataset
from data.images.hdf5_dataset import read_dataset

Write = Callable[[Any], object]


def read(path: Path, write: Write) -> bytes:
    """What comes back of the data set `x` that `write(file)` makes."""
    with h5py.File(path, "w") as file:
        write(file)
    with h5py.File(path) as file:
        return read_dataset(file["x"].id, "x")


def packed(data: bytes, chunk: int, **options: Any) -> Write:
    values = np.frombuffer(data, np.uint8)
    return lambda file: file.create_dataset("x", data=values, chunks=(chunk,), **options)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(data=st.binary(min_size=1, max_size=300), chunk=st.integers(1, 300), gzip=st.booleans())
def test_chunks_come_back_as_hdf5_itself_reads_them(tmp_path: Path, data: bytes, chunk: int, gzip: bool):
    write = packed(data, min(chunk, len(data)), **({"compression": "gzip"} if gzip else {}))
    assert read(tmp_path / "a.hdf5", write) == data


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(
    data=st.binary(min_size=1, max_size=300),
    form=st.sampled_from(["string", "opaque", "array"]),
    before=st.sampled_from([0, 512, 1024]),
)
def test_bytes_taken_from_the_file_itself_are_those_hdf5_reads(tmp_path: Path, data: bytes, form: str, before: int):
    value = {"string": np.bytes_(data), "opaque": np.void(data), "array": np.frombuffer(data, np.uint8)}[form]
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w", userblock_size=before) as file:
        file.create_dataset("first", data=np.void(b"something else"))
        file.create_dataset("x", data=value)
    with h5py.File(path) as file:
        thing = file["x"].id
        assert thing.get_offset() is not None
        found = read_dataset(thing, "x", file.id.get_vfd_handle())
        assert found == read_dataset(thing, "x")
        # Numpy's own byte strings end before their trailing zeros.
        assert found == (bytes(value) if form == "string" else data)


def test_an_image_that_the_file_does_not_hold_in_one_piece_is_read_by_hdf5(tmp_path: Path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("chunks", data=np.arange(9, dtype=np.uint8), chunks=(4,))
        file.create_dataset("variable", data="abc", dtype=h5py.string_dtype())
        file.create_dataset("unwritten", (5,), np.uint8)
    with h5py.File(path) as file:
        found = {name: read_dataset(file[name].id, name, file.id.get_vfd_handle()) for name in file}
    assert found == {"chunks": bytes(range(9)), "variable": b"abc", "unwritten": bytes(5)}


def test_a_file_that_ends_within_an_image_is_damaged(tmp_path: Path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.full(5000, 7, np.uint8))
    with h5py.File(path) as file, (tmp_path / "short").open("wb+") as short:
        short.write(path.read_bytes()[:3000])
        short.flush()
        with pytest.raises(DataError, match=r"x is damaged: the file ends after .* of its 5,000 bytes"):
            read_dataset(file["x"].id, "x", short.fileno())


def test_chunks_never_written_are_zeros(tmp_path: Path):
    def write(file: Any) -> None:
        file.create_dataset("x", (10,), np.uint8, chunks=(4,))[4:6] = [1, 2]

    assert read(tmp_path / "a.hdf5", write) == bytes([0, 0, 0, 0, 1, 2, 0, 0, 0, 0])


def test_a_chunk_that_its_filter_left_alone_is_taken_as_it_is(tmp_path: Path):
    def write(file: Any) -> None:
        made = file.create_dataset("x", (4,), np.uint8, chunks=(4,), compression="gzip")
        made.id.write_direct_chunk((0,), b"abcd", filter_mask=1)

    assert read(tmp_path / "a.hdf5", write) == b"abcd"


def stored(data: bytes) -> Write:
    """A hundred bytes, of which this is stored."""

    def write(file: Any) -> None:
        made = file.create_dataset("x", (100,), np.uint8, chunks=(100,), compression="gzip")
        made.id.write_direct_chunk((0,), data)

    return write


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (stored(zlib.compress(bytes(10**7))), "unpacks to more than the 100 bytes"),
        (stored(zlib.compress(bytes(99))), "hold 99 of 100 bytes"),
        (stored(b"no gzip"), "a chunk cannot be unpacked"),
        (packed(bytes(100), 50, compression="lzf"), "packed by HDF5 filters"),
        (packed(bytes(100), 50, shuffle=True), "packed by HDF5 filters"),
        (packed(bytes(100), 50, fletcher32=True), "packed by HDF5 filters"),
        (lambda f: f.create_dataset("x", (9,), np.uint8, maxshape=(None,), chunks=(2**30,)), "chunk of 1,024 MiB"),
        (lambda f: f.create_dataset("x", (2**20,), np.uint8, chunks=(1,)), "1,048,576 chunks"),
        (lambda f: f.create_dataset("x", (2**30,), np.uint8), "claims 1,024 MiB"),
    ],
)
def test_what_could_grow_is_refused(tmp_path: Path, write: Write, reason: str):
    with pytest.raises(DataError, match=reason):
        read(tmp_path / "a.hdf5", write)


def test_a_stored_chunk_beyond_the_limit_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hdf5_dataset, "MAX_ENCODED_BYTES", 150)
    with pytest.raises(DataError, match="stored chunk of"):
        read(tmp_path / "a.hdf5", stored(bytes(200)))
