"""Steps that hold what another step wrote, though their own reports vouch for it: told by lesions and by consumers."""

from collections.abc import Mapping

import polars as pl

from data.errors import DataError
from data.predictions import KEY_COLUMNS, Predictions
from data.tables.parquet import read_parquet
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Step
from pipeline.steps.booster import FitBooster
from pipeline.steps.fold_model import FoldModel


def folds_on_record(step: Step) -> pl.DataFrame | None:
    """The fold of each lesion as the run's own file has it; None where that file is of no use."""
    try:
        table, _ = read_parquet(step.folder / "folds.parquet", "")
        return table.select(KEY_COLUMNS)
    except (DataError, pl.exceptions.PolarsError):
        return None


def other_lesions(step: Step, folds: pl.DataFrame) -> str | None:
    """Why a model's predictions cannot be its own: they are about other lesions than those it had not seen."""
    work = step.work
    left_out = work.left_out if isinstance(work, FoldModel) else (work.fold,) if isinstance(work, FitBooster) else ()
    if not left_out:
        return None
    try:
        said = Predictions.read(step.folder / PREDICTIONS).frame().select(KEY_COLUMNS)
    except DataError as error:
        return str(error)
    own = folds.filter(pl.col("fold").is_in(left_out)).with_columns(pl.col("fold").cast(pl.Int64))
    if said.sort("lesion_id").equals(own.sort("lesion_id")):
        return None
    return f"{PREDICTIONS} is about other lesions than those of fold {' and '.join(map(str, left_out))}"


def exchanged(consumer: Step) -> Mapping[Step, str]:
    """Steps whose files are those that this one, by its report, once read of another step."""
    recorded = (consumer.report() or {}).get("inputs", {})
    try:
        now = {label: (sha, need.step) for need in consumer.needs for label, sha in need.checksums() if need.step}
    except DataError:
        return {}
    changed = {label: found for label, found in now.items() if recorded.get(label) not in (None, found[0])}
    owners = {recorded[label]: label for label in changed}
    return {step: f"it holds what {owners[sha]} wrote" for sha, step in changed.values() if step and sha in owners}
