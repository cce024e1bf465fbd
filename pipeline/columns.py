"""Probability columns in the tables of a run: one per model when there are two classes, else `model:class` for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import DataError
from data.files import atomic
from data.predictions import Predictions
from data.tables.parquet import read_parquet

Floats = npt.NDArray[np.float64]
KEYS = ("lesion_id", "fold")
"""Columns of such a table that are not probabilities."""


def named(model: str, predictions: Predictions) -> dict[str, Floats]:
    """The columns of one model."""
    if len(predictions.columns) == 1:
        return {model: predictions.probabilities[:, 0]}
    return {f"{model}:{name}": predictions.probabilities[:, i] for i, name in enumerate(predictions.columns)}


def flat(columns: Mapping[str, Floats], classes: tuple[str, ...]) -> dict[str, Floats]:
    """Arrays of lesions, or of lesions x classes, as plain columns."""
    plain: dict[str, Floats] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            plain[name] = values
        else:
            plain |= {f"{name}:{label}": values[:, i] for i, label in enumerate(classes)}
    return plain


def stacked(columns: Mapping[str, Any], model: str) -> Any:
    """The probabilities of one model: 1-D when binary, else lesions x classes; DataError where there are none."""
    if model in columns:
        return columns[model]
    found = [column for name, column in columns.items() if name.startswith(f"{model}:")]
    if not found:
        raise DataError(f"no table of the run has the column of {model}; run `fusionnetx submission` again")
    return np.column_stack(found)


def write_table(path: Path, ids: npt.NDArray[np.str_], fold: Any, columns: Mapping[str, Any]) -> None:
    """Write lesion_id, fold (of training lesions) and the probability columns; NaN becomes null."""
    with atomic(path) as temporary:
        table_of(ids, columns, fold).write_parquet(temporary)


def table_of(ids: npt.NDArray[np.str_], columns: Mapping[str, Any], fold: Any = None) -> pl.DataFrame:
    """The same as a frame."""
    frame = pl.DataFrame({"lesion_id": ids.tolist(), **({} if fold is None else {"fold": fold}), **columns})
    return frame.with_columns(pl.col(list(columns)).fill_nan(None))


def read_columns(path: Path, ids: npt.NDArray[np.str_], remedy: str = "fusionnetx submission") -> dict[str, Floats]:
    """The columns of a table in the order of `ids`, NaN without a prediction; DataError for other lesions."""
    frame, _ = read_parquet(path, f"Run `{remedy}` again.")
    names = [name for name in frame.columns if name not in KEYS]
    if "lesion_id" not in frame.columns or not all(frame[name].dtype.is_numeric() for name in names):
        raise DataError(f"{path} is not a table of probabilities; run `{remedy}` again")
    if frame["lesion_id"].to_list() != ids.tolist():
        raise DataError(f"{path} is about other lesions than the table; run `{remedy}` again")
    return {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names}
