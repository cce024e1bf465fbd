"""How fast the advanced feature set is made of a table as large as ISIC 2024's, reading the CSV file included.

Compared with the notebook way, in the same run and checked for equal results: pandas' groupby-transform column by
column, and scikit-learn's LocalOutlierFactor and NearestNeighbors patient by patient. And with fewer features, made in
polars as competition entries make them. CPU seconds of all threads are what a shared machine leaves comparable.

    python -m benchmarks.stage_two_features [--lesions 401059] [--json PATH]
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from benchmarks import entry
from benchmarks.measuring import Results, alone
from data.readers.isic2024 import read_test
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.columns import KNOWN, PATIENT_CONSTANT, STRONG
from features.recipe import FeatureRecipe
from features.table import build

GOAL_SECONDS, GOAL_GIGABYTES, GOAL_OUTLIER_SECONDS, GOAL_RATIO = 8.0, 3.0, 6.0, 3.0
CHECKED = (
    "colour_distance",
    "tbp_lv_H_patient_z",
    "hue_contrast_patient_z",
    "tbp_lv_areaMM2_location_z",
    "tbp_lv_H_patient_rank",
    "tbp_lv_deltaB_patient_robust_z",
    "outlying_columns",
    "local_outlier_factor",
    "tbp_lv_H_skin_difference",
    "site_area_share",
)
PLACES = {"location": "tbp_lv_location", "simple_location": "tbp_lv_location_simple", "site": "anatom_site_general"}


@dataclass(frozen=True)
class Taken:
    """What one way took."""

    read: float
    build: float
    outliers: float
    """Of `build`, the local outlier factor."""
    features: int
    checked: dict[str, np.ndarray]
    cpu: float
    """CPU seconds of reading and building, all threads together."""


def ours(folder: Path) -> Taken:
    """The feature stage."""
    spent = time.process_time()
    stamps = [("start", time.perf_counter())]
    cohort, _, _ = read_test(folder / "train-metadata.csv", folder)
    stamps.append(("read", time.perf_counter()))
    recipe = FeatureRecipe()
    table = build(cohort, recipe, progress=lambda *_, **__: stamps.append(("family", time.perf_counter())))
    steps = [after - before for (_, before), (_, after) in pairwise(stamps)]
    seconds = dict(zip(("read", *recipe.chosen), steps, strict=True))
    for name, took in sorted(seconds.items(), key=lambda item: -item[1])[:8]:
        print(f"    {name:24} {took:6.2f} s")
    return Taken(
        read=seconds["read"],
        build=time.perf_counter() - stamps[1][1],
        outliers=seconds["local_outlier_factor"],
        features=len(table.features),
        checked={name: table.frame[name].to_numpy() for name in CHECKED},
        cpu=time.process_time() - spent,
    )


def in_polars(folder: Path) -> tuple[int, float, float]:
    """What competition entries do: number of features, seconds and CPU seconds."""
    began, spent = time.perf_counter(), time.process_time()
    table = entry.in_polars(folder / "train-metadata.csv")
    return table.width, time.perf_counter() - began, time.process_time() - spent


def straightforward(folder: Path) -> Taken:
    """The same features as one writes them in a notebook, the outputs in one wide frame."""
    began, spent = time.perf_counter(), time.process_time()
    frame = pd.read_csv(folder / "train-metadata.csv", low_memory=False)
    read = time.perf_counter() - began
    began = time.perf_counter()
    numbers = [name for name, column in KNOWN.items() if column.kind == "number" and name in frame]
    compared = [name for name in numbers if name not in PATIENT_CONSTANT]
    derived = entry.in_pandas(frame)
    made = dict(derived)
    wide = pd.concat([frame, pd.DataFrame(derived)], axis=1)
    patient = wide["patient_id"]
    for name in [*compared, *derived]:
        made[f"{name}_patient_z"] = z_score(wide[name], [patient])
    for place, column in PLACES.items():
        keys = [patient, wide[column].fillna("")]
        for name in compared:
            made[f"{name}_{place}_z"] = z_score(wide[name], keys)
        made |= counts(wide, place, keys)
    made |= counts(wide, "patient", [patient])
    for name in compared:
        groups = wide[name].groupby(patient)
        made[f"{name}_patient_rank"] = (groups.rank() - 0.5) / groups.transform("count")
        deviation = wide[name] - groups.transform("median")
        spread = deviation.abs().groupby(patient).transform("median")
        mean = deviation.abs().groupby(patient).transform("mean")
        made[f"{name}_patient_robust_z"] = deviation / ((1.4826 * spread).where(spread > 0, 1.2533 * mean) + 1e-5)
    z = pd.DataFrame({name: made[f"{name}_patient_z"] for name in compared}).abs()
    made |= {
        "outlying_columns": (z > 3).sum(axis=1),
        "outlying_share": (z > 3).mean(axis=1),
        "z_max": z.max(axis=1),
        "z_mean": z.mean(axis=1),
        "z_spread": z.std(axis=1, ddof=0),
    }
    points = pd.DataFrame({name: made[f"{name}_patient_z"] for name in STRONG})
    before = time.perf_counter()
    made |= outliers(points, patient)
    took = time.perf_counter() - before
    made |= skin(points, wide, patient)
    table = pd.DataFrame(made).astype(np.float32)
    return Taken(
        read,
        time.perf_counter() - began,
        took,
        table.shape[1] + len(numbers) + 6,
        {name: table[name].to_numpy() for name in CHECKED},
        time.process_time() - spent,
    )


def z_score(values: pd.Series, keys: list[pd.Series]) -> pd.Series:
    """Deviation from the group's mean in its standard deviations."""
    groups = values.groupby(keys)
    return (values - groups.transform("mean")) / (groups.transform("std").fillna(0) + 1e-5)


def counts(wide: pd.DataFrame, place: str, keys: list[pd.Series]) -> dict[str, pd.Series]:
    """Lesions and area by place."""
    lesions = wide.groupby(keys)["isic_id"].transform("count")
    area = wide["tbp_lv_areaMM2"].groupby(keys).transform("sum")
    everywhere = wide.groupby("patient_id")["isic_id"].transform("count")
    return {
        f"{place}_lesions": lesions,
        f"{place}_lesion_share": lesions / everywhere,
        f"{place}_area": area,
        f"{place}_area_share": wide["tbp_lv_areaMM2"] / area,
    }


def outliers(points: pd.DataFrame, patient: pd.Series) -> dict[str, pd.Series]:
    """scikit-learn's local outlier factor of every patient."""
    names = ("local_outlier_factor", "nearest_distance", "neighbour_distance", "neighbour_distance_gap")
    made = {name: np.zeros(len(points)) for name in names}
    made["local_outlier_factor"][:] = 1
    for rows in patient.groupby(patient).indices.values():
        if len(rows) > 1:
            model = LocalOutlierFactor(n_neighbors=min(20, len(rows) - 1)).fit(points.to_numpy()[rows])
            distances, _ = model.kneighbors()
            values = (distances[:, 0], distances.mean(axis=1), distances[:, -1] - distances[:, 0])
            for name, value in zip(names, (-model.negative_outlier_factor_, *values), strict=True):
                made[name][rows] = value
    return {name: pd.Series(values) for name, values in made.items()}


def skin(points: pd.DataFrame, wide: pd.DataFrame, patient: pd.Series) -> dict[str, pd.Series]:
    """Differences to the five lesions nearest on the skin, by scikit-learn patient by patient."""
    position = wide[["tbp_lv_x", "tbp_lv_y", "tbp_lv_z"]].to_numpy()
    values, distance = points.to_numpy(), np.full((len(points), 2), np.nan)
    difference = np.zeros_like(values)
    for rows in patient.groupby(patient).indices.values():
        if len(rows) > 1:
            found = NearestNeighbors(n_neighbors=min(5, len(rows) - 1)).fit(position[rows]).kneighbors()
            difference[rows] = values[rows] - values[rows][found[1]].mean(axis=1)
            distance[rows] = np.column_stack([found[0][:, 0], found[0].mean(axis=1)])
    made = {f"{name}_skin_difference": pd.Series(difference[:, i]) for i, name in enumerate(points)}
    names = ("skin_nearest_distance", "skin_neighbour_distance")
    return made | {name: pd.Series(distance[:, i]) for i, name in enumerate(names)}


def check(one: Taken, other: Taken) -> None:
    """Refuse to compare times of different results; a few ties among neighbours may fall differently."""
    for name in CHECKED:
        same = np.isclose(one.checked[name], other.checked[name], rtol=1e-3, atol=1e-3, equal_nan=True).mean()
        print(f"    {name:34} equal in {same:.3%} of lesions")
        if same < 0.999:
            raise SystemExit(f"{name} differs from the straightforward way")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=401_059)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cohort"
        alone(write_cohort, folder, SyntheticRecipe(lesions=options.lesions, test_lesions=50, images=False))
        (a, gigabytes), (b, other_gigabytes) = alone(ours, folder), alone(straightforward, folder)
        (width, entry_seconds, entry_cpu), _ = alone(in_polars, folder)
    check(a, b)
    whole, whole_other, results = a.read + a.build, b.read + b.build, Results()
    goal = f"<= {GOAL_SECONDS:g} s and <= {GOAL_GIGABYTES:g} GB; >= {GOAL_RATIO:g} x"
    results.add(f"{a.features} features of {options.lesions} lesions, CSV included", whole, whole_other, "s", goal)
    results.add(
        "the same without local outlier factor",
        whole - a.outliers,
        whole_other - b.outliers,
        "s",
        f">= {GOAL_RATIO:g} x",
    )
    results.add(
        "local outlier factor, 17 columns, k = 20", a.outliers, b.outliers, "s", f"<= {GOAL_OUTLIER_SECONDS:g} s"
    )
    results.add("CPU seconds of all threads", a.cpu, b.cpu, "s")
    results.add(f"CPU seconds beside {width} features in polars", a.cpu, entry_cpu, "s")
    results.add(f"seconds beside {width} features in polars", whole, entry_seconds, "s")
    results.add("peak memory", gigabytes, other_gigabytes, "GB", f"<= {GOAL_GIGABYTES:g} GB")
    results.write(options.json)


if __name__ == "__main__":
    main()
