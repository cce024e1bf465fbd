"""Decoding a cohort's images in parallel, straight into one `.npy` file; the work behind `data.pack.build_pack`.

Threads do: libjpeg, OpenCV, SHA-256 and writing all let go of Python's lock, and what is left under it (about a tenth
of the work) is not worth processes that each import everything again.
"""

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from data.decode import decode
from data.errors import DataError
from data.images import ImageSource
from data.progress import Progress

CHUNK_BYTES = 2**24
"""About 16 MiB are decoded, hashed and written at once: small in memory, long enough to keep disks streaming."""


@dataclass(frozen=True)
class Decoded:
    """What came out: which images are there, why the others are not, and the checksum of every chunk."""

    present: npt.NDArray[np.bool_]
    missing: dict[str, str]
    lesions_per_chunk: int
    sha256: list[str]


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
    per_chunk = max(1, CHUNK_BYTES // image_bytes)
    starts = range(0, n, per_chunk)
    present = np.zeros(n, dtype=np.bool_)
    sums = [""] * len(starts)
    missing: dict[str, str] = {}
    stop = threading.Event()
    header = _create(path, (n, size, size, 3))
    threads_before = cv2.getNumThreads()
    # One image per thread: OpenCV's own threads would only compete with these.
    cv2.setNumThreads(1)
    began, done = time.monotonic(), 0
    descriptor = os.open(path, os.O_WRONLY)

    def work(k: int) -> tuple[int, dict[int, str]]:
        rows = range(starts[k], min(starts[k] + per_chunk, n))
        block, reasons = _decode_chunk(source, ids[rows.start : rows.stop].tolist(), size, stop)
        sums[k] = hashlib.sha256(block.data).hexdigest()
        _write_at(descriptor, block, header + rows.start * image_bytes)
        return k, reasons

    try:
        with ThreadPoolExecutor(workers) as pool:
            waiting: set[Future[tuple[int, dict[int, str]]]] = set()
            try:
                for k in range(len(starts)):
                    # A short queue, so that an interruption has little to wait for.
                    waiting.add(pool.submit(work, k))
                    last = k == len(starts) - 1
                    while waiting and (last or len(waiting) >= 2 * workers):
                        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        for future in finished:
                            chunk, reasons = future.result()
                            rows = slice(starts[chunk], min(starts[chunk] + per_chunk, n))
                            present[rows] = True
                            for offset, reason in reasons.items():
                                present[rows.start + offset] = False
                                missing[str(ids[rows.start + offset])] = reason
                            done += rows.stop - rows.start
                            refuse_missing(missing, n, max_missing_share, source)
                            progress(done, n, images_per_second=done / max(time.monotonic() - began, 1e-9))
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        os.close(descriptor)
        cv2.setNumThreads(threads_before)
    order = {str(name): i for i, name in enumerate(ids[~present])}
    return Decoded(present, dict(sorted(missing.items(), key=lambda item: order[item[0]])), per_chunk, sums)


def refuse_missing(missing: dict[str, str], n: int, max_share: float, source: ImageSource) -> None:
    """DataError when more than `max_share` of `n` lesions have no image."""
    if len(missing) <= max_share * n:
        return
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(missing.items())[:5])
    raise DataError(
        f"at least {len(missing):,} of {n:,} lesions have no usable image in {source!r}; max_missing_images allows "
        f"{max_share:.2%}. The first: {shown}. Complete the images, or raise max_missing_images in [data]."
    )


def _decode_chunk(
    source: ImageSource, ids: Sequence[str], size: int, stop: threading.Event
) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Decode the images of `ids`; the reasons of those without one, by place in the chunk."""
    block = np.zeros((len(ids), size, size, 3), dtype=np.uint8)
    reasons: dict[int, str] = {}
    for i, lesion_id in enumerate(ids):
        if stop.is_set():
            break
        try:
            block[i] = decode(source.read(lesion_id), size)
        except DataError as error:
            reasons[i] = str(error)
    return block, reasons


def _create(path: Path, shape: tuple[int, ...]) -> int:
    """Make a `.npy` file with its room on the disk taken, so that a full disk is said now; the header's length."""
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": shape})
        handle.flush()
        header = handle.tell()
        total = header + int(np.prod(shape, dtype=np.int64))
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, total)
            handle.truncate(total)
        except OSError as error:
            raise DataError(
                f"no room for the decoded images in {path.parent.parent}: they take {total / 1e9:.2f} GB "
                f"({error.strerror}). Free some space, or lower image_size in [data]."
            ) from error
    return header


def _write_at(descriptor: int, block: npt.NDArray[np.uint8], offset: int) -> None:
    rest = block.data.cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
