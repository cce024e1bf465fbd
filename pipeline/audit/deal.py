"""Dealing the labels of whole patients to other lesions, so that nothing about a lesion can explain its label.

Lesions are laid on a ring patient after patient, in two random orders of the patients (and of the lesions of each);
the second ring is turned by a random number of places, and a lesion takes the label of the lesion it then faces. Every
lesion gets every label with the same chance, so neither its measurements, nor its patient, nor the number of its
patient's lesions says anything about it. Neighbours on a ring stay neighbours: the labels of one patient go to one
patient, or to two or three where the sizes differ, and stay as clumped as they were.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NEAREST = 40
"""Deals at least to choose among in a fold."""


def deal(groups: npt.ArrayLike, rng: np.random.Generator) -> Ints:
    """For each lesion the row whose label it gets; every row gives once."""
    codes = coded(groups)
    giver = np.empty(len(codes), dtype=np.int64)
    giver[ring(codes, rng)] = np.roll(ring(codes, rng), rng.integers(len(codes)))
    return giver


def deals_like(
    target: Ints, rows: Ints, fold: Ints, pool: npt.NDArray[np.integer], count: int, rng: np.random.Generator
) -> Iterator[Ints]:
    """Labels for `rows` that might as well have been dealt: fold by fold taken from deals in `pool` (deals, lesions).

    In each fold the choice is among the deals that come nearest to its number of labels of each class, since folds are
    made to hold about as many each. Whole deals are taken, not the labels in place dealt once more: that would cut
    every patient's labels a second time, and chance looks narrower with labels that are less clumped.
    """
    classes = int(max(target.max(), pool.max())) + 1
    parts = []
    for part in np.unique(fold):
        places = np.flatnonzero(fold == part)
        dealt = pool[:, rows[places]]
        counts = np.stack([(dealt == label).sum(axis=1) for label in range(classes)], axis=1)
        off = np.abs(counts - np.bincount(target[places], minlength=classes)).sum(axis=1)
        parts.append((places, dealt[np.argsort(off, kind="stable")[: max(NEAREST, len(pool) // 20)]]))
    for _ in range(count):
        labels = np.empty(len(rows), dtype=np.int64)
        for places, nearest in parts:
            labels[places] = nearest[rng.integers(len(nearest))]
        yield labels


def coded(groups: npt.ArrayLike) -> Ints:
    """Patients as numbers from 0; numbers already are, which saves sorting names over and over."""
    names = np.asarray(groups)
    if names.dtype.kind == "i":
        return names.astype(np.int64)
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def ring(codes: npt.NDArray[np.integer], rng: np.random.Generator) -> Ints:
    """Rows patient after patient, patients and the lesions of each in random order."""
    place = rng.permutation(int(codes.max()) + 1)[codes]
    return np.argsort(place + rng.random(len(codes))).astype(np.int64)
