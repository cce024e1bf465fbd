"""How fast images are packed: HDF5 of JPEG as Kaggle publishes it -> 224 px uint8, checksummed and on the disk.

Compared with the loop one writes first: h5py, Pillow, one image after the other, into an array saved at the end.

    python -m benchmarks.pack [--images 8000] [--size 224] [--workers 2] [--json PATH]
"""

import argparse
import io
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.beside.tiles import write_tiles
from benchmarks.measuring import Results, seconds_of
from data.images.pack import ImagePack, usable_cores
from data.images.pack_build import build_pack
from data.images.pack_pixels import CHUNK_BYTES, Place, decode_chunk, prepare_worker
from data.images.sources import Hdf5Images
from data.processes import worker_processes

GOAL_IMAGES_PER_SECOND = 4000


def straightforward(path: Path, ids: list[str], size: int, target: Path) -> None:
    """The loop one writes first."""
    images = np.empty((len(ids), size, size, 3), np.uint8)
    with h5py.File(path, "r") as file:
        for i, name in enumerate(ids):
            image = Image.open(io.BytesIO(file[name][()])).convert("RGB")
            images[i] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    np.save(target, images)


def decode_alone(source: Hdf5Images, ids: npt.NDArray[np.str_], size: int, workers: int) -> float:
    """Images per second of reading, decoding, resizing and summing, when writing costs nothing."""
    per_chunk = max(CHUNK_BYTES // (size * size * 3), 1)
    place = Place(Path(os.devnull), source, size, 0, per_chunk)
    chunks = [(0, ids[start : start + per_chunk].tolist()) for start in range(0, len(ids), per_chunk)]
    with worker_processes(workers, "decodes images", prepare_worker, (place,)) as pool:
        # The processes' start is a second however many images follow.
        list(pool.map(decode_chunk, chunks[: 2 * workers]))
        took = seconds_of(lambda: list(pool.map(decode_chunk, chunks)))
    return len(ids) / took


def write_alone(target: Path, count: int, size: int) -> None:
    """Put as many bytes on the disk as a pack of `count` images takes, from one block in memory."""
    block = np.zeros((min(count, 100), size, size, 3), np.uint8)
    with target.open("wb", buffering=0) as file:
        for start in range(0, count, len(block)):
            file.write(block[: count - start].data)
        os.fsync(file.fileno())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiles(folder / "train-image.hdf5", options.images)
        source = Hdf5Images(folder / "train-image.hdf5")
        ids = source.ids
        # The loop takes as long per image however many there are; a quarter of them is enough.
        few = ids[: max(options.images // 4, 1)].tolist()
        loop = len(few) / seconds_of(lambda: straightforward(source.path, few, options.size, folder / "loop.npy"))
        (folder / "loop.npy").unlink()
        fresh = Hdf5Images(source.path)
        pack = folder / "pack"
        ours = options.images / seconds_of(
            lambda: build_pack(fresh, ids, pack, size=options.size, workers=options.workers)
        )
        limit = options.images / seconds_of(lambda: write_alone(folder / "bytes", options.images, options.size))
        decoding = decode_alone(Hdf5Images(source.path), ids, options.size, options.workers)
        opened = seconds_of(lambda: ImagePack.open(pack))
        gigabytes = (pack / "images.npy").stat().st_size / 1e9
        whole = seconds_of(lambda: ImagePack.open(pack, verify="full"))
    results = Results()
    for what, rate, goal in (
        (f"pack images at {options.size} px, {options.workers} workers", ours,
         f">= {GOAL_IMAGES_PER_SECOND} on 2 cores"),
        ("read, decode, resize and sum, without writing", decoding, "the work of the cores"),
        ("the same bytes written without decoding anything", limit, "what the disk or memory allows"),
    ):  # fmt: skip
        results.add(what, rate, loop, "images/s", goal, rate=True)
    results.add(f"open a pack of {gigabytes:.2f} GB: sample, or every byte", opened, whole, "s", "< 1 s")
    results.write(options.json)


if __name__ == "__main__":
    main()
