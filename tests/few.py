"""A cohort small enough to be read in no time, for tests that damage it."""

from pathlib import Path

import h5py
import polars as pl


def write_few(cohort_dir: Path, folder: Path) -> None:
    """Write forty training lesions (ten malignant) and ten test lesions of a cohort, in Kaggle's files."""
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
    positive = pl.col("target") == "1"
    chosen = {
        "train": pl.concat([train.filter(positive)[:10], train.filter(~positive)[:30]]),
        "test": pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)[:10],
    }
    for part, table in chosen.items():
        # Of one institution and place, so that the small table holds every category of the other.
        table = table.with_columns(
            pl.lit("FNQH Cairns").alias("attribution"),
            pl.lit("Left Leg").alias("tbp_lv_location"),
            pl.lit("Left Leg").alias("tbp_lv_location_simple"),
            pl.lit("lower extremity").alias("anatom_site_general"),
            pl.lit("male").alias("sex"),
            pl.lit("3D: XP").alias("tbp_tile_type"),
            pl.lit("CC-BY").alias("copyright_license"),
        )
        table.write_csv(folder / f"{part}-metadata.csv")
        with (
            h5py.File(cohort_dir / f"{part}-image.hdf5") as source,
            h5py.File(folder / f"{part}-image.hdf5", "w") as few,
        ):
            for name in table["isic_id"]:
                source.copy(name, few)
    chosen["test"].select("isic_id", target=pl.lit(0.3)).write_csv(folder / "sample_submission.csv")
