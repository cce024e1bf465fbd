"""Smoothed class shares per category, and their out-of-fold values for the rows they were counted on.

share = (lesions of the class in the category + smoothing * prior) / (lesions in the category + smoothing). A category
that was never counted has the prior.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import DataError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TargetShares:
    """Shares of one category column: by class (rows) and category code (columns), with the prior of each class."""

    shares: tuple[tuple[float, ...], ...]
    prior: tuple[float, ...]

    def of(self, codes: Integers) -> Floats:
        """(lesions, classes) shares; code -1 means unseen."""
        table = np.column_stack([np.array(self.shares), np.array(self.prior)])
        return table[:, codes].T


def positive_classes(target: Integers) -> int:
    """Columns one category becomes: one for a binary target, one per class otherwise."""
    classes = int(target.max()) + 1
    return 1 if classes <= 2 else classes


def indicator(target: Integers, classes: int) -> Floats:
    """(lesions, classes): 1 where the lesion is of the class; of a binary target only the positive class."""
    wanted = np.array([1]) if classes == 1 else np.arange(classes)
    hits: Floats = (target[:, None] == wanted).astype(np.float64)
    return hits


def counted(codes: Integers, hits: Floats, categories: int) -> tuple[Floats, Floats]:
    """Lesions per category and hits per category and class: whole numbers, so that differences of them are exact."""
    lesions = np.bincount(codes, minlength=categories).astype(np.float64)
    by_class = np.array([np.bincount(codes, weights=column, minlength=categories) for column in hits.T])
    return lesions, by_class


def smoothed(lesions: Floats, by_class: Floats, smoothing: float) -> tuple[Floats, Floats]:
    """Shares and priors from counts."""
    prior = by_class.sum(axis=1) / lesions.sum()
    return (by_class + smoothing * prior[:, None]) / (lesions + smoothing), prior


def fit_shares(codes: Integers, target: Integers, categories: int, smoothing: float) -> TargetShares:
    """Shares over all given rows."""
    lesions, by_class = counted(codes, indicator(target, positive_classes(target)), categories)
    shares, prior = smoothed(lesions, by_class, smoothing)
    return TargetShares(tuple(tuple(map(float, row)) for row in shares), tuple(map(float, prior)))


def out_of_fold_shares(codes: Integers, target: Integers, fold: Integers, categories: int, smoothing: float) -> Floats:
    """(lesions, classes): the share of each row's category, counted on the other folds alone, prior included."""
    hits = indicator(target, positive_classes(target))
    all_lesions, all_by_class = counted(codes, hits, categories)
    result = np.empty((len(codes), hits.shape[1]))
    for k in np.unique(fold):
        rows = np.flatnonzero(fold == k)
        lesions, by_class = counted(codes[rows], hits[rows], categories)
        shares, _ = smoothed(all_lesions - lesions, all_by_class - by_class, smoothing)
        result[rows] = shares[:, codes[rows]].T
    return result


def inner_folds(groups: npt.NDArray[np.generic], folds: int, seed: int) -> Integers:
    """Fold of each row, whole groups together and of about equal size; labels play no part, or they would leak."""
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError("target encoding needs training lesions of at least two patients; turn target_encoding off")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    filled = np.zeros(min(folds, len(names)))
    fold_of_group = np.empty(len(names), np.int64)
    for group in largest_first:
        fold_of_group[group] = filled.argmin()
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[codes]
