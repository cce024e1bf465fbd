"""A small table of lesions whose answer depends on metadata, a category and an image column."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from data.matrix import Matrix
from tabular.binned_folds import FoldData

N_LESIONS = 900
N_PATIENTS = 90


@dataclass(frozen=True)
class Table:
    """Lesions with their answers and patients."""

    matrix: Matrix
    target: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    @property
    def train_rows(self) -> npt.NDArray[np.int64]:
        """Four fifths of the patients."""
        return np.flatnonzero(self.groups % 5 > 0)

    @property
    def held_out_rows(self) -> npt.NDArray[np.int64]:
        """The other patients."""
        return np.flatnonzero(self.groups % 5 == 0)


def rows_of(matrix: Matrix, rows: npt.NDArray[np.int64]) -> Matrix:
    return Matrix(matrix.values[rows], matrix.names, matrix.families, matrix.categorical, matrix.image)


def make_table(seed: int = 0, lesions: int = N_LESIONS) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(lesions, 7)).astype(np.float32)
    values[:, 2] = rng.integers(0, 4, lesions)
    signal = values[:, 0] + values[:, 5] + 1.5 * (values[:, 2] == 1) + 0.4 * rng.normal(size=lesions)
    values[rng.random(lesions) < 0.1, 1] = np.nan
    values[rng.random(lesions) < 0.1, 2] = np.nan
    matrix = Matrix(
        values=values,
        names=("size mm", "age", "site", "border[0]", "colour", "vit logit", "cnn logit"),
        families=("size", "age", "site", "border", "colour", "image", "image"),
        categorical=(2,),
        image=(5, 6),
    )
    target = (signal > np.quantile(signal, 0.9)).astype(np.int64)
    return Table(matrix, target, rng.integers(0, N_PATIENTS, lesions))


@pytest.fixture(scope="session")
def table() -> Table:
    return make_table()


@pytest.fixture(scope="session")
def folds_of(table: Table) -> Callable[[int], Iterator[FoldData]]:
    """Three folds by patient, made with a seed."""

    def make(seed: int) -> Iterator[FoldData]:
        fold_of = np.random.default_rng(seed).permutation(N_PATIENTS)[table.groups] % 3
        for fold in range(3):
            train, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            yield FoldData(
                train=rows_of(table.matrix, train),
                train_target=table.target[train],
                train_groups=table.groups[train],
                held_out=rows_of(table.matrix, held_out),
                held_out_target=table.target[held_out],
            )

    return make
