"""A finished run's blend on the demo's hidden test, against its members and LightGBM's defaults with its image columns.

    python -m benchmarks.stage_two_members [--run demo]

LightGBM as it comes sees the published columns, their z-scores by patient, and what the run's networks said.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.decision_hidden import said
from benchmarks.stage_two_rivals import lightgbm_alone
from data.scores.intervals import paired_bootstrap
from data.scores.scores import pauc
from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs


def main() -> None:
    """Print each score, and by how much the blend is ahead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="demo")
    run = existing_run(parser.parse_args().run)
    inputs = Inputs(run, surroundings())
    train, test = inputs.data.train, inputs.data.test
    assert test is not None
    images = tuple(scores_of(run.folder / "oof" / name, part.ids) for name, part in
                   (("oof.parquet", train), ("test.parquet", test)))  # fmt: skip
    table = in_order(said(run.folder, inputs.source_dir), "isic_id", test.ids)
    target = table["target"].to_numpy()
    members = pl.read_parquet(run.folder / "tabular" / "test.parquet")
    members = in_order(members, "lesion_id", test.ids).drop("lesion_id", "blend")
    rivals = {name: members[name].to_numpy() for name in members.columns}
    rivals["LightGBM as it comes"] = lightgbm_alone(train, test, *images)
    blend = table["blend"].to_numpy()
    print(f"blend {pauc(target, blend):.4f}")
    for name, column in rivals.items():
        print(
            f"{name} {pauc(target, column):.4f}, blend less it {paired_bootstrap(target, blend, column, test.groups)}"
        )


def scores_of(path: Path, ids: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
    """What the networks said of these lesions, a column each."""
    return in_order(pl.read_parquet(path), "lesion_id", ids).drop("lesion_id", "fold", strict=False).to_numpy()


def in_order(table: pl.DataFrame, key: str, ids: npt.NDArray[np.str_]) -> pl.DataFrame:
    """The rows of these lesions, in their order."""
    return pl.DataFrame({key: ids.tolist()}).join(table, on=key, how="left", maintain_order="left")


if __name__ == "__main__":
    main()
