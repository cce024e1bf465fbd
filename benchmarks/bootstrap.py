"""How fast pAUC is bootstrapped over patients on a table as large as ISIC 2024's: 401,059 lesions, 393 positives.

Compared with the loop one writes first: draw patients, gather their rows, score with scikit-learn; and with the loop
that a careful rival writes: rows sorted once, and each replicate a weighted curve, every row counted as often as its
patient was drawn. Both run a few replicates, which must agree with ours, and are scaled up. Calibration errors are left
out: nothing makes them fast yet.

    python -m benchmarks.bootstrap [--lesions 401059] [--replicates 1000] [--json PATH]
"""

import argparse
import os
import time
from pathlib import Path

# One thread for the products, as on a busy machine; before numpy reads it.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.measuring import Results
from data.scores.intervals import bootstrap, drawn_patients, replicate_scores
from data.scores.scores import SCORES

GOAL_SECONDS = 2.0
PATIENTS_PER_LESION = 1042 / 401_059
POSITIVES_PER_LESION = 393 / 401_059


def table(lesions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make targets, probabilities rounded to 4 digits (so that some tie) and patients with skewed lesion counts."""
    rng = np.random.default_rng(0)
    n_patients = max(5, round(lesions * PATIENTS_PER_LESION))
    share = rng.lognormal(0, 1.2, n_patients)
    patient = np.sort(rng.choice(n_patients, lesions, p=share / share.sum()))
    target = np.zeros(lesions, dtype=np.int64)
    target[rng.choice(lesions, max(10, round(lesions * POSITIVES_PER_LESION)), replace=False)] = 1
    probability = np.round(1 / (1 + np.exp(4 - rng.normal(2.0 * target))), 4)
    return target, probability, np.char.add("IP_", patient.astype(np.str_))


def by_loop(target: np.ndarray, probability: np.ndarray, patient: np.ndarray, replicates: int) -> np.ndarray:
    """Resample rows explicitly, with the same patients as ours."""
    names, code = np.unique(patient, return_inverse=True)
    rows_of = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    scores = []
    for drawn in np.concatenate(list(drawn_patients(len(names), replicates, 0))):
        rows = np.concatenate([rows_of[one] for one in drawn])
        y, p = target[rows], probability[rows]
        scaled = roc_auc_score(1 - y, -p, max_fpr=1 - 0.8) if 0 < y.sum() < len(y) else np.nan
        scores.append(0.02 + (scaled - 0.5) * 2 * (0.2 - 0.02))  # McClish's scaling undone
    return np.array(scores)


def by_curve(target: np.ndarray, probability: np.ndarray, patient: np.ndarray, replicates: int) -> np.ndarray:
    """The same from one sort: areas under weighted curves, cut at a false positive rate from the top's side."""
    names, code = np.unique(patient, return_inverse=True)
    order = np.argsort(probability, kind="stable")
    y, code, last = target[order], code[order], np.flatnonzero(np.diff(probability[order], append=np.inf))
    scores = []
    for drawn in np.concatenate(list(drawn_patients(len(names), replicates, 0))):
        weight = np.bincount(drawn, minlength=len(names))[code].astype(np.float64)
        # From the lowest score up: the share of positives passed over, and of negatives; as max_fpr of turned labels.
        missed, kept = (np.append(0.0, np.cumsum(weight * part)[last]) for part in (y, 1 - y))
        missed, kept = missed / missed[-1], kept / kept[-1]
        stop = np.searchsorted(missed, 0.2, side="right")
        edge = np.interp(0.2, missed[stop - 1 : stop + 1], kept[stop - 1 : stop + 1])
        x, height = np.append(missed[:stop], 0.2), np.append(kept[:stop], edge)
        scores.append(float(np.trapezoid(height, x)))
    return np.array(scores)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=401_059)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sample = table(options.lesions)
    few = min(10, options.replicates)
    print(f"{options.lesions:,} lesions, {options.replicates:,} replicates, one thread")
    rivals, took = {}, {}
    for name, rival in (("the loop", by_loop), ("weighted curves", by_curve)):
        began = time.perf_counter()
        theirs = rival(*sample, few)
        rivals[name] = (time.perf_counter() - began) / few * options.replicates
        difference = np.nanmax(np.abs(replicate_scores(*sample, replicates=few) - theirs))
        print(f"largest difference from {name} in {few} replicates: {difference:.1e}")
        if difference > 1e-10:
            raise SystemExit(f"the replicates are not those of {name}")
    for score in (score for score in SCORES if not score.startswith("calibration")):
        began = time.perf_counter()
        interval = bootstrap(*sample, score=score, replicates=options.replicates)
        took[score] = time.perf_counter() - began
        print(f"{score:>30}  {took[score]:7.2f} s   {interval}")
    results = Results()
    for name, seconds in rivals.items():
        results.add(f"pAUC over patients, beside {name}", took["pauc"], seconds, "s", f"<= {GOAL_SECONDS:g} s")
    results.write(options.json, lesions=options.lesions, replicates=options.replicates)


if __name__ == "__main__":
    main()
