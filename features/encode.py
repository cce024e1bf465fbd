"""From a feature table to the matrix a model eats, with everything fitted on training rows alone and kept as JSON.

Numbers: missing ones become the training median (0 where no training row has a value), then scaled if asked.
Categories: `one_hot` (missing or unseen: all zeros), `native` (whole codes; missing or unseen: NaN), `ordinal` (codes
as plain numbers; missing or unseen: -1). Target encoding: missing is a category of its own, unseen takes the prior;
training rows get values that their own patient's labels did not enter (`fit_transform`). Last come the residuals of
`features.unexpected`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import DataError, RecipeError
from data.matrix import Matrix
from features.numbers import fit_medians, fit_scaling, plain_names
from features.recipe import FeatureRecipe
from features.source import Feature
from features.table import FeatureTable
from features.target_encoding import (
    Integers,
    TargetShares,
    fit_shares,
    inner_folds,
    out_of_fold_shares,
)
from features.unexpected import FAMILY, Expectation, fit_expectation

ONE_HOT_LIMIT = 256
"""More categories than this in one column are refused: such a column is a name, not a category."""
CHUNK = 4096
"""Rows transposed at once, so that a block of columns stays in the cache."""


@dataclass(frozen=True)
class Encoder:
    """How features become columns: fitted once per fold, applied to any table with the same features."""

    features: tuple[Feature, ...]
    encoding: Literal["one_hot", "native", "ordinal", "none"]
    medians: dict[str, float] | None
    """Replacement of a missing number; None: missing stays NaN."""
    scaling: dict[str, tuple[float, float]] | None
    """Shift and factor of each number: (value - shift) * factor; None: as it is."""
    categories: dict[str, tuple[str, ...]]
    """Categories of the training rows, sorted."""
    target_shares: dict[str, TargetShares] = field(default_factory=dict)
    expectation: Expectation | None = None
    """What the numbers of the training rows let expect of each other."""
    letters: bool = True
    """Whether names keep letters of every script; those of encoders fitted before they did do not."""

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        rows: Integers,
        target: Integers | None,
        recipe: FeatureRecipe,
    ) -> "Encoder":
        """Fit on `rows` of the table; `target` is aligned to the table and read at `rows` only."""
        if len(rows) == 0:
            raise DataError("features: there is no training lesion to fit the encoder on")
        numbers = [f.name for f in table.features if f.kind == "number"]
        names = [f.name for f in table.features if f.kind == "category"]
        taken = pl.Series(rows)
        training = table.frame.select(pl.col(names).gather(taken))
        medians = fit_medians(table.frame, taken, numbers)
        categories = {name: tuple(training[name].drop_nulls().unique().sort().to_list()) for name in names}
        encoder = cls(
            features=table.features,
            encoding=recipe.category_encoding,
            medians=medians if recipe.impute == "median" else None,
            scaling=fit_scaling(table.frame, taken, medians, recipe),
            categories=categories,
            target_shares=fit_target_shares(training, categories, target, rows, recipe),
            expectation=fit_expectation(table.frame, rows, compared(table)) if recipe.adds_unexpected else None,
        )
        encoder.refuse()
        return encoder

    @classmethod
    def fit_transform(
        cls,
        table: FeatureTable,
        rows: Integers,
        target: Integers | None,
        recipe: FeatureRecipe,
        groups: npt.NDArray[Any] | None = None,
        seed: int = 0,
    ) -> tuple["Encoder", Matrix]:
        """Fit on `rows` and return their own matrix, with target encodings counted on other patients' labels.

        `groups` are the patients (every lesion its own when None); `seed` decides the inner folds.
        """
        encoder = cls.fit(table, rows, target, recipe)
        matrix = encoder.transform(table, rows)
        if encoder.target_shares and target is not None:
            patients = np.arange(len(rows)) if groups is None else np.asarray(groups)[rows]
            fold = inner_folds(patients, recipe.target_folds, seed)
            start = len(matrix.names) - encoder.target_columns - len(encoder.unexpected)
            for name, shares in encoder.target_shares.items():
                codes = encoder.codes(table.frame[name][rows])
                width = len(shares.prior)
                matrix.values[:, start : start + width] = out_of_fold_shares(
                    codes, target[rows], fold, len(encoder.categories[name]) + 1, recipe.target_smoothing
                )
                start += width
        return encoder, matrix

    @property
    def target_columns(self) -> int:
        """Columns of target encodings, behind those of the features."""
        return sum(len(shares.prior) for shares in self.target_shares.values())

    @property
    def unexpected(self) -> tuple[Feature, ...]:
        """The last columns of the matrix."""
        return () if self.expectation is None else self.expectation.features

    def columns(self) -> list[tuple[str, Feature, bool]]:
        """Name, feature and whether it is a native category, of every column of the matrix."""
        columns: list[tuple[str, Feature, bool]] = []
        for feature in self.features:
            if feature.kind == "number" or self.encoding == "ordinal":
                columns.append((feature.name, feature, False))
            elif self.encoding == "native":
                columns.append((feature.name, feature, True))
            elif self.encoding == "one_hot":
                columns += [(f"{feature.name}={value}", feature, False) for value in self.categories[feature.name]]
        for feature in self.features:
            if feature.name in self.target_shares:
                classes = len(self.target_shares[feature.name].prior)
                suffixes = ["share"] if classes == 1 else [f"share_{k}" for k in range(classes)]
                columns += [(f"{feature.name}_{suffix}", feature, False) for suffix in suffixes]
        return columns + [(feature.name, feature, False) for feature in self.unexpected]

    def transform(self, table: FeatureTable, rows: Integers | None = None) -> Matrix:
        """The matrix of a table's lesions (all of them, or `rows`), for lesions the encoder was not fitted on."""
        self.refuse_other_features(table)
        frame = table.frame
        columns = self.columns()
        count = len(frame) if rows is None else len(rows)
        values = np.empty((count, len(columns)), np.float32)
        self.write_numbers(frame, rows, values)
        self.write_categories(frame, rows, values)
        self.write_unexpected(frame, rows, values)
        return Matrix(
            values=values,
            names=plain_names([name for name, _, _ in columns], letters=self.letters),
            families=tuple(feature.family for _, feature, _ in columns),
            categorical=tuple(i for i, (_, _, native) in enumerate(columns) if native),
            image=tuple(i for i, (_, feature, _) in enumerate(columns) if feature.image),
        )

    def write_numbers(self, frame: pl.DataFrame, rows: Integers | None, values: npt.NDArray[np.float32]) -> None:
        """Fill the columns of numbers, a block of rows at a time."""
        own = enumerate(feature for _, feature, _ in self.columns())
        places = [(i, one.name) for i, one in own if one.kind == "number" and one.family != FAMILY]
        if not places:
            return
        at, names = np.array([i for i, _ in places]), [name for _, name in places]
        numbers = frame.select(names)
        median = None if self.medians is None else np.array([self.medians[n] for n in names], np.float32)
        scaling = None if self.scaling is None else np.array([self.scaling[n] for n in names], np.float64)
        for start in range(0, len(values), CHUNK):
            stop = min(start + CHUNK, len(values))
            block = (numbers[start:stop] if rows is None else numbers[rows[start:stop]]).to_numpy()
            if median is not None:
                block = np.where(np.isnan(block), median, block)
            if scaling is not None:
                block = ((block - scaling[:, 0]) * scaling[:, 1]).astype(np.float32)
            values[start:stop, at] = block

    def write_categories(self, frame: pl.DataFrame, rows: Integers | None, values: npt.NDArray[np.float32]) -> None:
        """Fill the columns of categories and their target encodings."""
        at = 0
        codes: dict[str, Integers] = {}
        for feature in self.features:
            if feature.kind == "number":
                at += 1
                continue
            known = len(self.categories[feature.name])
            code = self.codes(frame[feature.name] if rows is None else frame[feature.name][rows])
            codes[feature.name] = code
            named = (code >= 0) & (code < known)
            if self.encoding == "one_hot":
                values[:, at : at + known] = code[:, None] == np.arange(known)
                at += known
            elif self.encoding != "none":
                values[:, at] = np.where(named, code, np.nan if self.encoding == "native" else -1)
                at += 1
        for name, shares in self.target_shares.items():
            values[:, at : at + len(shares.prior)] = shares.of(codes[name])
            at += len(shares.prior)

    def write_unexpected(self, frame: pl.DataFrame, rows: Integers | None, values: npt.NDArray[np.float32]) -> None:
        """Fill the last columns; the residual of a missing number is 0 where gaps are filled."""
        if self.expectation is None:
            return
        numbers = frame.select(pl.col(self.expectation.names))
        for start in range(0, len(values), CHUNK):
            stop = min(start + CHUNK, len(values))
            block = numbers[start:stop] if rows is None else numbers[rows[start:stop]]
            found = self.expectation.of(block.cast(pl.Float64).to_numpy())
            values[start:stop, -found.shape[1] :] = found if self.medians is None else np.nan_to_num(found)

    def codes(self, column: pl.Series) -> Integers:
        """Place of each value in the training categories; their number for a missing value, -1 for an unseen one."""
        known = self.categories[column.name]
        missing = pl.when(pl.col("value").is_null()).then(len(known)).otherwise(-1)
        frame = pl.DataFrame({"value": column.cast(pl.String)})
        lookup = pl.DataFrame(
            {"value": known, "code": range(len(known))}, schema={"value": pl.String, "code": pl.Int64}
        )
        coded = frame.join(lookup, on="value", how="left", maintain_order="left")
        return coded.select(pl.col("code").fill_null(missing)).to_series().cast(pl.Int64).to_numpy().astype(np.int64)

    def refuse(self) -> None:
        """Refuse encodings that cannot be meant."""
        if self.encoding == "one_hot":
            for name, values in self.categories.items():
                if len(values) > ONE_HOT_LIMIT:
                    raise RecipeError(
                        f"features: column {name} has {len(values)} categories, too many for one_hot "
                        f"({ONE_HOT_LIMIT}); leave it out with unused_columns or set categories = 'native'"
                    )
        if not self.columns():
            raise RecipeError(
                "features: there is no number and categories = 'none' without target_encoding leaves no column; "
                "choose another encoding"
            )

    def refuse_other_features(self, table: FeatureTable) -> None:
        """Refuse a table that does not have exactly the features the encoder was fitted on."""
        fitted = [(feature.name, feature.kind) for feature in self.features]
        given = [(feature.name, feature.kind) for feature in table.features]
        if fitted == given:
            return
        missing = [name for name, _ in fitted if name not in table.names]
        extra = [name for name, _ in given if name not in {name for name, _ in fitted}]
        found = [f"missing {', '.join(missing[:5])} ({len(missing)})"] if missing else []
        found += [f"unknown {', '.join(extra[:5])} ({len(extra)})"] if extra else []
        raise DataError(
            f"features: the table differs from the one the encoder was fitted on: "
            f"{'; '.join(found) or 'order or kind'}; make both with the same recipe from data with the same columns"
        )

    def to_json(self) -> dict[str, Any]:
        """Everything fitted, as values that JSON holds exactly; write it with `data.files.write_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Encoder":
        """The encoder that `to_json` described."""
        try:
            return cls(
                features=tuple(Feature(**feature) for feature in value["features"]),
                encoding=value["encoding"],
                medians=value["medians"],
                scaling=None if value["scaling"] is None else {n: (s[0], s[1]) for n, s in value["scaling"].items()},
                categories={name: tuple(values) for name, values in value["categories"].items()},
                target_shares={
                    name: TargetShares(tuple(map(tuple, shares["shares"])), tuple(shares["prior"]))
                    for name, shares in value["target_shares"].items()
                },
                expectation=Expectation.from_json(value.get("expectation")),
                letters=bool(value.get("letters", False)),
            )
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise DataError(f"this is not a stored encoder ({error!r}); delete its folder and train again") from error


def compared(table: FeatureTable) -> list[str]:
    """Numbers that are held against what the others let expect: published ones, and how each stands in its patient."""
    published = [one.name for one in table.features if one.family == "published" and one.kind == "number"]
    within = {f"{name}_patient_z" for name in published}
    return published + [name for name in table.names if name in within]


def fit_target_shares(
    training: pl.DataFrame,
    categories: dict[str, tuple[str, ...]],
    target: Integers | None,
    rows: Integers,
    recipe: FeatureRecipe,
) -> dict[str, TargetShares]:
    """Class shares of each category column, if the recipe asks for them."""
    if not recipe.encodes_target or not categories:
        return {}
    if target is None:
        raise RecipeError("features: target encoding needs the training labels; turn target_encoding off without them")
    coder = Encoder((), "none", None, None, categories)
    return {
        name: fit_shares(coder.codes(training[name]), target[rows], len(values) + 1, recipe.target_smoothing)
        for name, values in categories.items()
    }
