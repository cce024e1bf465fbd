"""Whether tensors of a file are those of a network, before it is filled with them.

PyTorch fills in a missing count of batches, turns numbers into another type and takes what is no number: each would be
another network without a word.
"""

from collections.abc import Mapping

from torch import Tensor


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Which tensors are missing, unknown, of another shape or type, or hold what is no number; empty if all fit."""
    both = sorted(wanted.keys() & found.keys())
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "of another shape": [
            f"{name} is {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
            for name in both
            if wanted[name].shape != found[name].shape
        ],
        "of another type": [
            f"{name} is {found[name].dtype} instead of {wanted[name].dtype}"
            for name in both
            if wanted[name].dtype != found[name].dtype
        ],
        "with what is no number": [name for name in both if not found[name].isfinite().all()],
    }
    return "; ".join(f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names)


def require_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], what: str) -> None:
    """ValueError unless tensors are those of a network."""
    if problem := misfits(wanted, found):
        raise ValueError(f"{what}: {problem}")
