"""Bad HDF5 files of images, tried by `fusionnetx check`."""

import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.bad_input.bench import Bench, Row, chosen
from tests.damage import cut, edit


def inside(change: Callable[[Any, str], object]) -> Callable[[Bench], object]:
    """Change the first lesion's entry: `change(file, name)` finds it gone."""

    def damage(b: Bench) -> None:
        with h5py.File(b.hdf5(), "r+") as file:
            name = sorted(file)[0]
            del file[name]
            change(file, name)

    return damage


def all_keys(new: Callable[[str], str]) -> Callable[[Bench], object]:
    """Rename every entry."""

    def damage(b: Bench) -> None:
        with h5py.File(b.hdf5(), "r+") as file:
            for name in sorted(file):
                file.move(name, new(name))

    return damage


def outside(file: Any, name: str) -> None:
    """An entry that names the image of another file."""
    other = Path(file.filename).with_name("other.hdf5")
    with h5py.File(other, "w") as more:
        more.create_dataset("secret", data=np.bytes_(b"\xff\xd8secret"))
    file[name] = h5py.ExternalLink(str(other), "/secret")


def in_another_file(file: Any, name: str) -> None:
    """An entry whose bytes lie in a file beside it."""
    other = Path(file.filename).with_name("secret.bin")
    other.write_bytes(bytes(64))
    file.create_dataset(name, (64,), np.uint8, external=[(str(other), 0, 64)])


def virtual(file: Any, name: str) -> None:
    """An entry put together from data sets of another file."""
    layout = h5py.VirtualLayout((64,), np.uint8)
    layout[:] = h5py.VirtualSource("other.hdf5", "secret", (64,))
    file.create_virtual_dataset(name, layout)


def unpacking_without_end(file: Any, name: str) -> None:
    """A hundred bytes, says the data set; what is stored unpacks to 64 MB."""
    made = file.create_dataset(name, (100,), np.uint8, chunks=(100,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(bytes(64_000_000)))


def in_a_huge_chunk(file: Any, name: str) -> None:
    """A hundred bytes in a chunk of four thousand million."""
    file.create_dataset(name, (100,), np.uint8, maxshape=(None,), chunks=(2**32 - 1,), compression="gzip")


def by_an_unknown_filter(file: Any, name: str) -> None:
    """Packed by a filter that only a plug-in could undo."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((100,))
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((100,)), plist)
    made.write_direct_chunk((0,), bytes(50))


def as_a_pipe(b: Bench) -> None:
    b.hdf5().unlink()
    os.mkfifo(b.hdf5())


NOT_DECODED = "train images: 1 of 40 do not decode (ISIC_"

ROWS = [
    Row("cut short", lambda b: cut(b.hdf5()), ("train-image.hdf5 ends too early: the copy is incomplete",)),
    Row("its first kilobyte", lambda b: edit(b.hdf5(), lambda w: w[:1000]), ("train-image.hdf5", "ends too early")),
    Row("zero bytes", lambda b: edit(b.hdf5(), lambda _: b""), ("train-image.hdf5 is not an HDF5 file (0 bytes)",)),
    Row(
        "a zip archive",
        lambda b: edit(b.hdf5(), lambda w: b"PK\3\4" + w[4:]),
        ("train-image.hdf5 is not an HDF5 file",),
    ),
    Row("a table", lambda b: shutil.copy(b.table(), b.hdf5()), ("train-image.hdf5 is not an HDF5 file",)),
    Row("a pipe", as_a_pipe, ("train-image.hdf5 is not a file",)),
    Row("a header of zeros", lambda b: edit(b.hdf5(), lambda w: w[:8] + bytes(88) + w[96:]), ("train-image.hdf5",)),
    Row("images under a group", all_keys(lambda name: f"images/{name}"), ("40 of 40 lesions have none",)),
    Row("keys with a suffix", all_keys(lambda name: f"{name}.jpg"), ("40 of 40 lesions have none", ".jpg")),
    Row("no key", all_keys(lambda name: f"x/{name}"), ("40 of 40 lesions have none",)),
    Row(
        "a group in place of an image",
        inside(lambda f, n: f.create_group(n)),
        (NOT_DECODED, "is a group"),
        goes_on=True,
    ),
    Row(
        "an external link", inside(outside), (NOT_DECODED, "link to another place, which is not followed"), goes_on=True
    ),
    Row(
        "a soft link",
        inside(lambda f, n: f.__setitem__(n, h5py.SoftLink("/" + sorted(f)[1]))),
        (NOT_DECODED, "not followed"),
        goes_on=True,
    ),
    Row(
        "bytes in another file",
        inside(in_another_file),
        (NOT_DECODED, "in another file, which is not followed"),
        goes_on=True,
    ),
    Row("a virtual data set", inside(virtual), (NOT_DECODED, "in another file, which is not followed"), goes_on=True),
    Row(
        "pixels",
        inside(lambda f, n: f.create_dataset(n, data=np.zeros((4, 4, 3), np.uint8))),
        (NOT_DECODED, "is not an image"),
        goes_on=True,
    ),
    Row("a number", inside(lambda f, n: f.create_dataset(n, data=3.5)), (NOT_DECODED, "is not an image"), goes_on=True),
    Row(
        "nothing",
        inside(lambda f, n: f.create_dataset(n, data=h5py.Empty("S10"))),
        (NOT_DECODED, "is not an image"),
        goes_on=True,
    ),
    Row(
        "16 GB claimed",
        inside(lambda f, n: f.create_dataset(n, (2**34,), np.uint8)),
        (NOT_DECODED, "claims 16,384 MiB"),
        goes_on=True,
    ),
    Row("packed bytes that grow", inside(unpacking_without_end), (NOT_DECODED, "unpacks to more"), goes_on=True),
    Row("a chunk of 4 GB", inside(in_a_huge_chunk), (NOT_DECODED, "chunk"), goes_on=True),
    Row("an unknown filter", inside(by_an_unknown_filter), (NOT_DECODED, "filter"), goes_on=True),
    Row(
        "half an image",
        inside(lambda f, n: f.create_dataset(n, data=np.bytes_(b"\xff\xd8\xff\xe0half"))),
        (NOT_DECODED,),
        goes_on=True,
    ),
    Row("an image missing", inside(lambda f, n: None), ("1 of 40 lesions have none (ISIC_",), goes_on=True),
    Row(
        "an image too many",
        inside(lambda f, n: (f.copy(sorted(f)[1], n), f.copy(sorted(f)[1], "ISIC_X"))),
        ("1 of lesions not in the table (ISIC_X)",),
        goes_on=True,
    ),
]


@pytest.mark.parametrize("row", chosen(ROWS), ids=lambda row: row.name)
def test_hdf5(bench: Bench, row: Row) -> None:
    bench.check(row)
