"""Perceptual hashes of packed images, and the pairs of hashes that lie close together, without comparing all with all.

The hash holds the signs of the horizontal differences of a 17 x 17 grey thumbnail (272 bits): unmoved by brightness,
contrast, compression and size. Pairs within a Hamming radius r are found through r + 1 bands of bits: two hashes that
differ in at most r bits agree in a whole band. Bits are dealt to the bands at random, because neighbouring bits agree
in most images and bands of such bits would hold nearly everything.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from data.images.pack import usable_cores
from data.images.shards import Pictures
from data.progress import Progress, silent

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

SIDE = 17
BITS = SIDE * (SIDE - 1)
CHUNK = 512
"""Images that a thread shrinks at once."""
SYMMETRIES = 8


def thumbnails(images: Pictures, progress: Progress = silent) -> Bytes:
    """Grey thumbnails (n, 17, 17) by averaging areas."""
    small = np.empty((len(images), SIDE, SIDE), np.uint8)
    starts = range(0, len(images), CHUNK)

    def shrink(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(images))):
            grey = cv2.cvtColor(np.ascontiguousarray(images[i]), cv2.COLOR_RGB2GRAY)
            small[i] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(usable_cores()) as pool:
        for done, _ in enumerate(pool.map(shrink, starts), start=1):
            progress(min(done * CHUNK, len(images)), len(images))
    return small


def turned(images: npt.NDArray[np.generic], symmetry: int) -> npt.NDArray[np.generic]:
    """One of the eight symmetries of a square, on axes 1 and 2: quarter turns, from 4 on of the mirror image."""
    mirrored = images[:, :, ::-1] if symmetry >= 4 else images
    return np.rot90(mirrored, symmetry % 4, axes=(1, 2))


def hashes(small: Bytes) -> Words:
    """(n, 5) words of 64 bits, the last padded with zeros."""
    rising = small[:, :, 1:] > small[:, :, :-1]
    packed = np.packbits(rising.reshape(len(small), BITS), axis=1)
    padded = np.zeros((len(small), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def distance(one: Words, other: Words) -> Ints:
    """Bits in which hashes differ."""
    apart: Ints = np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)
    return apart


def near_pairs(one: Words, other: Words | None = None, *, radius: int, bits: int = BITS) -> tuple[Ints, Ints, Ints]:
    """Pairs (i, j, distance) of hashes at most `radius` bits apart; within one set each pair once, i < j."""
    both = one if other is None else np.concatenate([one, other])
    split = len(one)
    found = []
    for keys in bands(both, radius + 1, bits):
        for left, right in meeting(keys):
            if other is None:
                left, right = np.minimum(left, right), np.maximum(left, right)
            else:
                across = (left < split) != (right < split)
                left, right = np.minimum(left, right)[across], np.maximum(left, right)[across]
            apart = distance(both[left], both[right])
            near = apart <= radius
            found.append(np.column_stack([left[near], right[near], apart[near]]))
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 3), np.int64)
    return pairs[:, 0], pairs[:, 1] - (0 if other is None else split), pairs[:, 2]


def bands(words: Words, count: int, bits: int) -> Iterator[Words]:
    """One key of at most 64 bits per hash and band."""
    everything = np.unpackbits(words.view(np.uint8), axis=1, count=bits)
    order = np.random.default_rng(0).permutation(bits)
    for band in np.array_split(order, count):
        packed = np.packbits(everything[:, band[:64]], axis=1)
        key = np.zeros((len(words), 8), np.uint8)
        key[:, : packed.shape[1]] = packed
        yield key.view(np.uint64)[:, 0]


def meeting(keys: Words) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of rows with equal keys: neighbours in sorted order, then next neighbours, until none are left."""
    order = np.argsort(keys, kind="stable").astype(np.int64)
    ordered = keys[order]
    place = np.arange(len(keys) - 1)
    step = 1
    while True:
        place = place[place < len(keys) - step]
        place = place[ordered[place] == ordered[place + step]]
        if not len(place):
            return
        yield order[place], order[place + step]
        step += 1
