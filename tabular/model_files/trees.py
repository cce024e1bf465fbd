"""What every stored binary tree must be: each node reached once from its root, so that walks end and stay inside."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def are_trees(left: Ints, right: Ints, sizes: Ints) -> bool:
    """Whether node arrays of several trees (concatenated; a child is a number within its tree, negative for none) hold.

    The root is node 0. Every other node is the child of one node, and can be reached from the root.
    """
    starts = np.cumsum(sizes) - sizes
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    children = np.column_stack([left, right])
    inner = children >= 0
    if (children >= size[:, None]).any():
        return False
    parents_of = np.bincount((children + start[:, None])[inner], minlength=len(left))
    wanted = np.ones(len(left), np.int64)
    wanted[starts] = 0
    if not np.array_equal(parents_of, wanted):
        return False
    # One parent each and none for the roots: what is walked from them never comes back.
    reached, front = 0, starts
    while len(front):
        reached += len(front)
        below = children[front] + start[front, None]
        front = below[inner[front]]
    return reached == len(left)


def within(values: Ints, limit: int | Ints, what: str) -> None:
    """Refuse what is not in 0 <= value < limit."""
    if ((values < 0) | (values >= limit)).any():
        raise ValueError(f"{what} points beyond what is there")
