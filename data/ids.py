"""Identifiers as arrays: of bounded length, because an array takes room for its longest in every row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.errors import DataError

MOST_CHARACTERS = 256
"""Published ids have at most forty. One of 20 million among 600 would ask for 45 GiB."""


def as_ids(values: Sequence[str], where: object) -> npt.NDArray[np.str_]:
    """The ids as an array; DataError that names the place of the first that is longer than any id."""
    for row, value in enumerate(values, 1):
        if len(value) > MOST_CHARACTERS:
            raise DataError(
                f"{where}: id {row:,} has {len(value):,} characters ({value[:37]!r}...), more than the "
                f"{MOST_CHARACTERS} an id may have. Is the file damaged?"
            )
    return np.array(values, dtype=np.str_)
