"""Logistic regression with an L2 penalty: the plainest member, kept as JSON.

Numbers are standardised after missing ones became the median of the training rows; a category becomes one column per
code that the training rows have, and one that is missing or new is none of them. Solved by Newton's method, which is
deterministic and ends in a few steps; it draws nothing, so seeds do not matter. It has no trees, no gain and no SHAP
values: reports leave those out for it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from data.errors import DataError
from data.files import write_json
from tabular.learners.adapting import model_bytes, refusal
from tabular.learners.learner import Defaults, Floats, Learner, Model, Rows, Settings, Values
from tabular.learners.search_space import SearchSpace

FORMAT = "fusionnetx logistic regression 1"


@dataclass(frozen=True)
class Number:
    """How a column of numbers enters: (value - mean) * factor."""

    column: int
    median: float
    mean: float
    factor: float
    """0 for a constant column."""

    def inputs(self, values: Values) -> Floats:
        """(rows, 1)."""
        value = values[:, self.column].astype(np.float64)
        return ((np.where(np.isnan(value), self.median, value) - self.mean) * self.factor)[:, None]


@dataclass(frozen=True)
class Category:
    """The codes of a column of categories, an input each."""

    column: int
    codes: tuple[float, ...]

    def inputs(self, values: Values) -> Floats:
        """(rows, codes)."""
        found: Floats = (values[:, self.column, None] == np.array(self.codes, np.float32)).astype(np.float64)
        return found


@dataclass(frozen=True)
class LogisticModel(Model):
    """Coefficients, and how rows become what they are multiplied with."""

    columns: int
    classes: int
    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    present: tuple[int, ...]
    """Classes that the training rows had; the others have no chance."""
    coefficients: tuple[tuple[float, ...], ...]
    """One row per class that was there; with two of them the second alone, beside a first of zeros."""
    intercepts: tuple[float, ...]

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        margin = self.inputs(values) @ np.array(self.coefficients).T + np.array(self.intercepts)
        if len(self.present) == 2:
            margin = np.column_stack([np.zeros(len(margin)), margin[:, 0]])
        odds = np.exp(margin - margin.max(axis=1, keepdims=True))
        probability = np.zeros((len(values), self.classes))
        probability[:, list(self.present)] = odds / odds.sum(axis=1, keepdims=True)
        return probability[:, 1] if self.classes == 2 else probability

    def inputs(self, values: Values) -> Floats:
        """(rows, inputs): numbers, then categories."""
        parts = [one.inputs(values) for one in self.numbers] + [one.inputs(values) for one in self.categories]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(values), 0))

    def save(self, path: Path) -> None:
        """Write JSON; numbers come back to the last bit."""
        write_json(path, {"format": FORMAT, **asdict(self)})


def fit(training: Rows, settings: Settings) -> LogisticModel:
    """Fit medians, scale and codes, then the coefficients."""
    from sklearn.linear_model import LogisticRegression

    values, columns = training.values, len(training.names)
    numbers = tuple(number(values, column) for column in range(columns) if column not in training.categorical)
    categories = tuple(category(values, column) for column in training.categorical)
    present = tuple(np.unique(training.target).tolist())
    shape = LogisticModel(columns, settings.classes, numbers, categories, present, (), ())
    solver = LogisticRegression(**settings.parameters, solver="newton-cholesky", tol=1e-8, max_iter=settings.iterations)
    try:
        solver.fit(shape.inputs(values), training.target, sample_weight=training.weight)
    except ValueError as error:
        raise refusal("logistic regression", error) from error
    coefficients, intercepts = solver.coef_.tolist(), tuple(solver.intercept_.tolist())
    return LogisticModel(
        columns, settings.classes, numbers, categories, present, tuple(map(tuple, coefficients)), intercepts
    )


def number(values: Values, column: int) -> Number:
    """Median, mean and spread of a column; a column without any value is 0."""
    value = values[:, column].astype(np.float64)
    known = value[~np.isnan(value)]
    median = float(np.median(known)) if len(known) else 0.0
    filled = np.where(np.isnan(value), median, value)
    spread = float(filled.std()) if np.ptp(filled) else 0.0
    return Number(column, median, float(filled.mean()), 1.0 / spread if spread else 0.0)


def category(values: Values, column: int) -> Category:
    """The codes that a column has."""
    value = values[:, column]
    return Category(column, tuple(np.unique(value[~np.isnan(value)]).astype(float).tolist()))


def load(path: Path, columns: int, classes: int) -> LogisticModel:
    """Read JSON; every number is one and every place exists."""
    whole = model_bytes("logistic", path)
    try:
        told = json.loads(whole)
        if told.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        model = restored(told)
        refuse_unsound(model, columns, classes)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, OverflowError) as error:
        raise DataError(
            f"{path} is not a whole logistic model of {columns} columns and {classes} classes ({error}); train the "
            "member again"
        ) from error
    return model


def restored(told: Mapping[str, Any]) -> LogisticModel:
    """The model that a file describes, as yet unchecked."""
    return LogisticModel(
        **{
            **told,
            "numbers": tuple(Number(**one) for one in told["numbers"]),
            "categories": tuple(Category(one["column"], tuple(one["codes"])) for one in told["categories"]),
            "present": tuple(told["present"]),
            "coefficients": tuple(map(tuple, told["coefficients"])),
            "intercepts": tuple(told["intercepts"]),
        }
    )


def refuse_unsound(model: LogisticModel, columns: int, classes: int) -> None:
    """ValueError for counts that do not fit together, places that do not exist and numbers that are none."""
    figures = [figure for one in model.numbers for figure in (one.median, one.mean, one.factor)]
    figures += [code for one in model.categories for code in one.codes]
    figures += [*model.intercepts, *(figure for row in model.coefficients for figure in row)]
    if not all(isinstance(figure, float) and isfinite(figure) for figure in figures):
        raise ValueError("a figure is no finite number")
    places = [one.column for one in model.numbers] + [one.column for one in model.categories]
    if (model.columns, model.classes) != (columns, classes) or sorted(places) != list(range(columns)):
        raise ValueError("it has other columns or classes")
    if not set(model.present) <= set(range(classes)) or not 2 <= len(set(model.present)) == len(model.present):
        raise ValueError("it knows other classes")
    inputs = len(model.numbers) + sum(len(one.codes) for one in model.categories)
    rows = 1 if len(model.present) == 2 else len(model.present)
    if len(model.intercepts) != rows or [len(row) for row in model.coefficients] != [inputs] * rows:
        raise ValueError("its coefficients do not fit its columns")


LEARNER = Learner(
    name="logistic",
    suffix=".json",
    defaults=Defaults(iterations=100, device="cpu", parameters=MappingProxyType({"C": 1.0})),
    known=frozenset({"C"}),
    search_space=MappingProxyType({"C": SearchSpace(low=1e-4, high=10.0, log=True)}),
    cost=0.5,
    fit=fit,
    load=load,
)
