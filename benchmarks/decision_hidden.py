"""What a run's calibration, thresholds and sets do on the demo's hidden test, which nothing was fitted to.

python -m benchmarks.decision_hidden --run runs/demo
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from data.scores.calibration import brier, calibration_error, calibration_line, log_loss
from data.scores.conformal import coverage
from data.scores.thresholds import workload
from pipeline.actions.opening import existing_run, surroundings
from pipeline.decision import decision_of
from pipeline.inputs import Inputs


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="demo")
    run = existing_run(parser.parse_args().run)
    decision, folder = decision_of(run), Inputs(run, surroundings()).source_dir
    table = said(run.folder, folder)
    target, groups = table["target"].to_numpy(), table["patient_id"].to_numpy().astype(np.str_)
    score = table["blend"].to_numpy()
    print(f"{len(target):,} lesions, {target.sum()} malignant, {len(np.unique(groups))} patients")
    for name, column in (("as given", score), ("calibrated", decision.calibrator.apply(score))):
        line = calibration_line(target, column, groups)
        print(f"{name}: brier {brier(target, column):.4f}, log loss {log_loss(target, column):.4f}, "
              f"expected error {calibration_error(target, column):.4f}, {line}")  # fmt: skip
    for kept in decision.thresholds:
        print(kept, workload(target, kept.apply(score), groups))
    print(coverage(decision.sets.apply(score), target))


def said(run: Path, data: Path) -> pl.DataFrame:
    """Patient, answer and the blend's score of each hidden lesion."""
    answers = pl.read_csv(data / "test-answers.csv").select("isic_id", "target")
    patients = pl.read_csv(data / "test-metadata.csv", infer_schema_length=None).select("isic_id", "patient_id")
    scores = pl.read_parquet(run / "tabular" / "test.parquet").select(isic_id="lesion_id", blend="blend")
    return scores.join(patients, on="isic_id").join(answers, on="isic_id")


if __name__ == "__main__":
    main()
