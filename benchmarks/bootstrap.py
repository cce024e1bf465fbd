"""How fast pAUC is bootstrapped over patients on a table as large as ISIC 2024's: 401,059 lesions, 393 positives.

Compared with the loop one writes first: draw patients, gather their rows, score with scikit-learn. The loop runs a few
replicates, which must agree with ours, and is scaled up. Calibration errors are left out: nothing makes them fast yet.

    python -m benchmarks.bootstrap [--lesions 401059] [--replicates 1000] [--json PATH]
"""

import argparse
import os
import platform
import time
from pathlib import Path

# One thread for the products, as on a busy machine; before numpy reads it.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from sklearn.metrics import roc_auc_score

from data.files import write_json
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


def seconds_of(score: str, replicates: int, sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """Wall time of one interval."""
    began = time.perf_counter()
    interval = bootstrap(*sample, score=score, replicates=replicates)
    took = time.perf_counter() - began
    print(f"{score:>30}  {took:7.2f} s   {interval}")
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=401_059)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sample = table(options.lesions)
    n_loop = min(10, options.replicates)
    began = time.perf_counter()
    theirs = by_loop(*sample, n_loop)
    loop_seconds = (time.perf_counter() - began) / n_loop * options.replicates
    difference = np.nanmax(np.abs(replicate_scores(*sample, replicates=n_loop) - theirs))
    print(f"{options.lesions:,} lesions, {options.replicates:,} replicates, one thread")
    print(f"largest difference from the loop in {n_loop} replicates: {difference:.1e}")
    if difference > 1e-10:
        raise SystemExit("the replicates are not those of the loop")
    took = {
        score: seconds_of(score, options.replicates, sample) for score in SCORES if not score.startswith("calibration")
    }
    print(f"pAUC: {took['pauc']:.2f} s, the loop {loop_seconds:.0f} s, {loop_seconds / took['pauc']:.0f} times faster")
    if options.json:
        result = {
            "name": f"{options.replicates} patient-bootstrap replicates of pAUC, {options.lesions} lesions, 1 thread",
            "ours": round(took["pauc"], 4),
            "straightforward": round(loop_seconds, 2),
            "ratio": round(loop_seconds / took["pauc"], 1),
            "unit": "s",
            "goal": f"<= {GOAL_SECONDS:g}",
        }
        machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
        write_json(options.json, {"machine": machine, "results": [result]})


if __name__ == "__main__":
    main()
