"""Dividing patients among folds, or into a training and an inner part, with every class in proportion.

`inner_split` serves early stopping: its inner patients come out of the training patients, never out of the fold that
is predicted. `assign_groups` is the allocation itself, which `folds.py` also falls back on. Numpy only.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def class_counts(group_code: Ints, class_code: Ints, n_classes: int) -> Ints:
    """Rows of each class (columns) in each group (rows)."""
    n_groups = int(group_code.max()) + 1
    flat = np.bincount(group_code * n_classes + class_code, minlength=n_groups * n_classes)
    return flat.reshape(n_groups, n_classes).astype(np.int64)


def assign_groups(counts: Ints, shares: npt.NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """Give each group (a row of `counts`, rows per class) a part, so that every part holds its share of every class.

    Greedy, large groups first, each to the part where the chi-square distance to the wished shares grows least; groups
    of a similar size (within a factor of two) come in random order, so that another seed is another split.
    """
    portion = counts / np.maximum(counts.sum(axis=0), 1)
    magnitude = np.floor(np.log2(np.maximum(portion.max(axis=1), 1e-300)))
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.argsort(-magnitude[shuffled], kind="stable")]
    held = np.zeros((len(shares), counts.shape[1]))
    part = np.empty(len(counts), dtype=np.int64)
    for group in order:
        growth = (2 * held + portion[group]) @ portion[group] / shares
        part[group] = int(np.argmin(growth))
        held[part[group]] += portion[group]
    _spread_classes(part, counts, len(shares))
    return part


def _spread_classes(part: Ints, counts: Ints, n_parts: int) -> None:
    """Move small groups until no part is empty and each holds every class that has groups enough for all parts."""
    carries = np.column_stack([np.ones(len(counts), dtype=bool), counts > 0])
    carries = carries[:, carries.sum(axis=0) >= n_parts]
    # Commonest first: what a later, rarer class moves is chosen so as not to undo the earlier ones where it can be.
    for kind in np.argsort(-carries.sum(axis=0), kind="stable"):
        for lacking in range(n_parts):
            held = np.stack([np.bincount(part[column], minlength=n_parts) for column in carries.T])
            if held[kind, lacking]:
                continue
            spare = np.flatnonzero(carries[:, kind] & (held[kind, part] > 1))
            sole = np.any(carries[spare] & (held[:, part[spare]] == 1).T, axis=1)
            smallest = np.lexsort((counts[spare].sum(axis=1), sole))[0]
            part[spare[smallest]] = lacking


def inner_split(groups: npt.ArrayLike, target: npt.ArrayLike, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into (training rows, inner rows), about `share` of each class inner, no group on both sides.

    Both sides hold each class that at least two groups carry. The rows are ascending indices into the arrays given.
    The result depends on the groups' names and contents, not on the order of the rows.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    names, group_code = np.unique(np.asarray(groups), return_inverse=True)
    classes, class_code = np.unique(np.asarray(target), return_inverse=True)
    if group_code.shape != class_code.shape:
        raise ValueError(f"{group_code.size} groups for {class_code.size} targets")
    if len(names) < 2:
        raise ValueError(f"an inner split needs at least two groups (patients), got {len(names)}")
    counts = class_counts(group_code, class_code, len(classes))
    part = assign_groups(counts, np.array([1.0 - share, share]), np.random.default_rng(seed))
    inner = part[group_code] == 1
    return np.flatnonzero(~inner), np.flatnonzero(inner)
