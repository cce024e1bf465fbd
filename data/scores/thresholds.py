"""Thresholds that are kept: chosen on patients so that new patients like them lose no more than was promised.

The sensitivity meant here is that over patients: for each patient with malignant lesions the share of these at or above
the threshold, averaged over such patients, so that nobody counts more for having many.

**The threshold** (conformal risk control, Angelopoulos et al. 2024). With n patients, the highest threshold is taken at
which the mean share missed is at most (a (n + 1) - 1) / n, where a = 1 - target. Then the sensitivity for a new patient
is at least the target on average over all the samples of patients that could have been drawn.

**The bound.** One sample may be luckier than another, so each threshold carries a lower bound of its sensitivity that
holds for 95 of 100 samples. The level to which the threshold was set depends on n and the target alone. The threshold
can only be worse than the bound if, at one fixed place of the true distribution, the mean of n independent shares falls
that far below its expectation; how probable that is at most is given by the smaller of Hoeffding's and Bentkus's
inequalities (and exactly, by the binomial distribution, where no patient has two malignant lesions).

Both assume that new patients are exchangeable with these: same clinics, same way of choosing whom to photograph, scored
alike. They say nothing about one patient.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.scores.ranking import Floats, Ints, Values
from data.scores.scores import confusion_at

CONFIDENCE = 0.95
STEPS = 60
"""Halvings in the search for the bound: to the last digit of a double."""


@dataclass(frozen=True)
class KeptThreshold:
    """A threshold and what is promised of it."""

    target: float
    """The sensitivity over patients that it keeps on average."""
    threshold: float | None
    """None: so few patients cannot promise so much."""
    bound: float | None
    """Sensitivity over patients that holds for 95 of 100 samples."""
    patients: int
    """Patients with such lesions."""

    def apply(self, score: Floats) -> npt.NDArray[np.bool_]:
        """Which lesions it flags."""
        return np.asarray(score >= (np.inf if self.threshold is None else self.threshold), dtype=np.bool_)


def patients_needed(target: float) -> int:
    """The fewest patients with malignant lesions that can promise a sensitivity."""
    return int(np.ceil(1.0 / (1.0 - target) - 1.0 - 1e-9))


def kept_threshold(score: Floats, groups: Values, target: float, confidence: float = CONFIDENCE) -> KeptThreshold:
    """The highest threshold that keeps `target`; scores and patients of the lesions that are to be found alone."""
    if not 0.0 < target < 1.0:
        raise ValueError(f"a target sensitivity lies between 0 and 1, got {target}")
    names, patient = np.unique(np.asarray(groups), return_inverse=True)
    n = len(names)
    if n < patients_needed(target):
        return KeptThreshold(target, None, None, n)
    lesions = np.bincount(patient, minlength=n)
    allowed = max(0.0, ((1.0 - target) * (n + 1) - 1.0) / n)
    levels, at = np.unique(score, return_inverse=True)
    weight = np.bincount(at, 1.0 / (n * lesions[patient]))
    missed = np.append(0.0, np.cumsum(weight)[:-1])
    highest = float(levels[np.count_nonzero(missed <= allowed + 1e-12) - 1])
    return KeptThreshold(target, highest, lower_bound(n, allowed, confidence, single=bool(np.all(lesions == 1))), n)


def lower_bound(n: int, allowed: float, confidence: float = CONFIDENCE, *, single: bool = False) -> float:
    """Sensitivity over patients below which a threshold set to miss `allowed` of n patients rarely lies."""
    low, high = allowed, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if luck(n, allowed, middle, single=single) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return 1.0 - high


def luck(n: int, allowed: float, truth: float, *, single: bool) -> float:
    """How probable it is at most that n patients show no more than `allowed` missed where the truth is `truth`."""
    from scipy.special import bdtr, xlogy

    if truth <= allowed:
        return 1.0
    if single:
        return float(bdtr(np.floor(n * allowed + 1e-9), n, truth))
    # Written so that 0 log 0 is 0: nothing may be missed where the patients are few.
    divergence = xlogy(allowed, allowed / truth) + xlogy(1 - allowed, (1 - allowed) / max(1 - truth, 1e-300))
    hoeffding = float(np.exp(-n * divergence))
    bentkus = float(np.e * bdtr(np.ceil(n * allowed - 1e-9), n, truth))
    return min(1.0, hoeffding, bentkus)


@dataclass(frozen=True)
class Workload:
    """What a threshold did on known lesions."""

    sensitivity: float
    """Over lesions: every malignant lesion has the same weight."""
    sensitivity_of_patients: float
    """Over patients: every patient with malignant lesions has the same weight."""
    specificity: float
    lesions_per_patient: float
    """At or above it."""
    nnt: float | None
    """Lesions at or above it for each malignant one among them."""
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """True class (benign, malignant) by call (below, at or above)."""


def workload(target: Ints, flagged: npt.NDArray[np.bool_], groups: Values) -> Workload:
    """Count the outcomes; the sample holds both classes."""
    names, patient = np.unique(np.asarray(groups), return_inverse=True)
    matrix = confusion_at(target, flagged.astype(np.float64), 0.5)
    (cleared, false), (missed, found) = ((int(one) for one in row) for row in matrix)
    positive = target == 1
    of_patient = np.bincount(patient[positive], minlength=len(names))
    caught = np.bincount(patient[positive & flagged], minlength=len(names))
    share: npt.NDArray[np.float64] = caught[of_patient > 0] / of_patient[of_patient > 0]
    return Workload(
        sensitivity=found / (found + missed),
        sensitivity_of_patients=float(share.mean()),
        specificity=cleared / (cleared + false),
        lesions_per_patient=(found + false) / len(names),
        nnt=(found + false) / found if found else None,
        confusion=((cleared, false), (missed, found)),
    )
