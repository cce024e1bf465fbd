"""What a network is told beside the image: fitted on a fold's training lesions and kept with its model."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.files import read_json, write_json
from features.vector import VectorEncoder, refuse_columns
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe

if TYPE_CHECKING:
    from image_models.lesions import Lesions

FILE = "metadata.json"
"""The fitted encoder, in the fold model's folder."""


def fit_metadata(
    model: ImageModelRecipe, cohort: Cohort, rows: npt.NDArray[np.int64], folder: Path, lesions: "Lesions"
) -> "Lesions":
    """Fit the encoder on `rows` of the cohort, keep it in `folder`, and give the lesions their numbers."""
    if not model.metadata.columns:
        return lesions
    refuse_columns(cohort, model.metadata.columns, model.name)
    encoder = VectorEncoder.fit(
        cohort.table,
        rows,
        model.metadata.columns,
        missing_flags=model.metadata.missing_flags,
        impute=model.metadata.impute,
        scale=model.metadata.scale,
        components=model.metadata.components,
        # A site that is not known must not be taken for the most frequent one: the network weighs all of them.
        unfilled=[model.site_column] if model.site_column else [],
    )
    write_json(folder / FILE, encoder.to_json())
    return encoded(model, encoder, cohort.table, lesions)


def with_stored_metadata(model: ImageModelRecipe, folder: Path, table: pl.DataFrame, lesions: "Lesions") -> "Lesions":
    """Give lesions of any table the numbers that the encoder kept in `folder` makes of it."""
    if not model.metadata.columns:
        return lesions
    return encoded(model, stored_encoder(model, folder), table, lesions)


def stored_encoder(model: ImageModelRecipe, folder: Path) -> VectorEncoder:
    """The encoder kept in `folder`."""
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"{path} is missing: image model {model.name} cannot be told metadata; train that fold again")
    try:
        return VectorEncoder.from_json(read_json(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); delete its folder and train that fold again") from error


def encoded(model: ImageModelRecipe, encoder: VectorEncoder, table: pl.DataFrame, lesions: "Lesions") -> "Lesions":
    """The lesions with the numbers of the table and what these are."""
    shape = MetadataShape(
        columns=encoder.inputs,
        sites=encoder.positions_of(model.site_column) if model.site_column else (),
        groups=encoder.groups,
    )
    return dataclasses.replace(lesions, metadata=encoder.transform(table), metadata_shape=shape)


def artefacts(model: ImageModelRecipe) -> list[str]:
    """Files that a fold model has on top of its weights and predictions."""
    return [FILE] if model.metadata.columns else []
