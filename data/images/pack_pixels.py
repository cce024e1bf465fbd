"""Decoding a cohort's images in parallel, straight into one `.npy` file; the work behind `data.images.pack_build`.

Decoding, resizing, checksums and writing let go of Python's lock, reading HDF5 does not: two threads that take turns at
it decode hardly more than one. Processes do; they take a second to start, so small packs are left to threads.
"""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images.decode import decode
from data.images.pack import digest
from data.images.sources import ImageSource
from data.processes import in_order, worker_processes
from data.progress import Progress

CHUNK_BYTES = 2**24
"""About 16 MiB are decoded, summed and written at once: small in memory, long enough to keep disks streaming."""
PROCESSES_FROM = 6_000
"""Images from which processes earn back the second they take to start."""


@dataclass(frozen=True)
class Decoded:
    """What came out: which images are there, why the others are not, and the checksum of every chunk."""

    present: npt.NDArray[np.bool_]
    missing: dict[str, str]
    lesions_per_chunk: int
    digests: list[str]


def decode_into(
    path: Path,
    source: ImageSource,
    ids: npt.NDArray[np.str_],
    *,
    size: int,
    max_missing_share: float,
    workers: int,
    progress: Progress,
) -> Decoded:
    """Write `(lesions, size, size, 3)` uint8 to `path`; stop as soon as too many images are missing."""
    n, image_bytes = len(ids), size * size * 3
    per_chunk = min(max(1, CHUNK_BYTES // image_bytes), n)
    chunks = [slice(start, min(start + per_chunk, n)) for start in range(0, n, per_chunk)]
    present, sums = np.ones(n, dtype=np.bool_), list[str]()
    missing: dict[str, str] = {}
    place = Place(path, source, size, _create(path, (n, size, size, 3)), per_chunk)
    began = time.monotonic()
    pooled = worker_processes if n >= PROCESSES_FROM and workers > 1 else _worker_threads
    try:
        with pooled(workers, "decodes images", prepare_worker, (place,)) as pool:
            jobs = ((rows.start, ids[rows].tolist()) for rows in chunks)
            # A short queue, so that an interruption has little to wait for.
            for rows, (checksum, reasons) in zip(chunks, in_order(pool, decode_chunk, jobs, 2 * workers), strict=True):
                sums.append(checksum)
                present[[rows.start + offset for offset in reasons]] = False
                missing |= {str(ids[rows.start + offset]): reason for offset, reason in reasons.items()}
                refuse_missing(missing, n, max_missing_share, source)
                progress(rows.stop, n, images_per_second=rows.stop / max(time.monotonic() - began, 1e-9))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise _no_room(path, n * image_bytes) from error
    return Decoded(present, missing, per_chunk, sums)


@dataclass(frozen=True)
class Place:
    """Where decoded images go and where they come from."""

    path: Path
    source: ImageSource
    size: int
    header: int
    """Bytes before the first image."""
    per_chunk: int


_own = threading.local()
"""Of each worker, thread or process: its place and the block it decodes into."""


def prepare_worker(place: Place) -> None:
    """Set aside what a worker decodes into."""
    # Every worker uses its block again and again: fresh memory costs more time per image than copying into it.
    _own.block = np.empty((place.per_chunk, place.size, place.size, 3), dtype=np.uint8)
    _own.place = place


def decode_chunk(job: tuple[int, list[str]]) -> tuple[str, dict[int, str]]:
    """Decode one chunk and write it; its checksum, and why images are missing."""
    start, ids = job
    place: Place = _own.place
    block: npt.NDArray[np.uint8] = _own.block[: len(ids)]
    reasons = _decode_all(place.source, ids, block)
    descriptor = os.open(place.path, os.O_WRONLY)
    try:
        _write_at(descriptor, block, place.header + start * block[0].nbytes)
    finally:
        os.close(descriptor)
    return digest(block), reasons


@contextmanager
def _worker_threads(
    count: int, what: str, prepare: Callable[[Place], None], arguments: tuple[Place]
) -> Iterator[ThreadPoolExecutor]:
    """As `worker_processes`, with threads."""
    with _opencv_on_one_thread(), ThreadPoolExecutor(count, what, prepare, arguments) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _opencv_on_one_thread() -> Iterator[None]:
    """Images are resized one per thread; OpenCV's own threads would only compete with these."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def refuse_missing(missing: dict[str, str], n: int, max_share: float, source: ImageSource) -> None:
    """DataError when more than `max_share` of `n` lesions have no image."""
    if len(missing) <= max_share * n:
        return
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(missing.items())[:5])
    raise DataError(
        f"at least {len(missing):,} of {n:,} lesions have no usable image in {source!r}; max_missing_images allows "
        f"{max_share:.2%}. The first: {shown}. Complete the images, or raise max_missing_images in [data]."
    )


def _decode_all(source: ImageSource, ids: Sequence[str], block: npt.NDArray[np.uint8]) -> dict[int, str]:
    """Decode the images of `ids` into `block`; the reasons of those without one, by place in the chunk."""
    reasons: dict[int, str] = {}
    for i, lesion_id in enumerate(ids):
        try:
            decode(source.read(lesion_id), block.shape[1], out=block[i])
        except DataError as error:
            block[i] = 0
            reasons[i] = str(error)
    return reasons


def _create(path: Path, shape: tuple[int, ...]) -> int:
    """Make a `.npy` file of the final length; the header's length. Says now when the disk cannot hold it."""
    needed = int(np.prod(shape, dtype=np.int64))
    if needed > shutil.disk_usage(path.parent).free:
        raise _no_room(path, needed)
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": shape})
        header = handle.tell()
        # Sparse on purpose: writing into blocks that were set aside (fallocate) took four to ten times as long on ext4.
        handle.truncate(header + needed)
    return header


def _no_room(path: Path, needed: int) -> DataError:
    free = shutil.disk_usage(path.parent).free
    return DataError(
        f"no room for the decoded images in {path.parent.parent}: they take {needed / 1e6:,.1f} MB, and "
        f"{free / 1e6:,.1f} MB are free. Free some space, name another cache (FUSIONNETX_CACHE), or lower image_size "
        "in [data]."
    )


def _write_at(descriptor: int, block: npt.NDArray[np.uint8], offset: int) -> None:
    rest = block.data.cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
