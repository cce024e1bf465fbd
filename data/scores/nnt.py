"""NNT: how many lesions must be looked at for each malignant one found. Numpy only.

Every lesion at or above a threshold is looked at, and the threshold is the highest one that catches the wanted share of
the malignant lesions. A threshold cannot part lesions of one score, so lesions tied with it are all looked at, whatever
their order.
"""

import numpy as np

from data.scores.ranking import Floats, Values, checked_binary, counted


def looked_at_per_found(positives_at: Floats, negatives_in: Floats, n_negative: Floats, sensitivity: float) -> Floats:
    """NNT from the counts that `ranking.area_above` takes; leading axes are replicates."""
    m = positives_at.shape[-1]
    found = np.flip(np.cumsum(np.flip(positives_at, axis=-1), axis=-1), axis=-1)
    below = np.cumsum(negatives_in[..., : 2 * m], axis=-1)[..., 0::2]
    looked_at = found + n_negative[..., None] - below
    # 0.9 * 20 is 18 lesions, not 19, whatever the last bit of the product says.
    enough = found >= sensitivity * found[..., :1] * (1 - 1e-12)
    highest = np.count_nonzero(enough, axis=-1)[..., None] - 1
    at_threshold = np.take_along_axis(looked_at, highest, axis=-1) / np.take_along_axis(found, highest, axis=-1)
    return np.asarray(at_threshold[..., 0], dtype=np.float64)


def number_needed(
    target: Values, probability: Values, *, sensitivity: float = 0.80, weight: Values | None = None
) -> float:
    """Lesions looked at for each malignant one found, at the highest threshold that reaches `sensitivity`.

    >>> number_needed([0, 1, 0, 0, 1], [0.1, 0.9, 0.8, 0.2, 0.7], sensitivity=0.9)
    1.5
    """
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(f"sensitivity must be in (0, 1], got {sensitivity}")
    return float(looked_at_per_found(*counted(checked_binary(target, probability, weight)), sensitivity))
