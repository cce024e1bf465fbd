"""Which choices of stage two pay: repeated cross-validation on several cohorts, each choice against the same base.

A choice is a change of the recipe. Every choice is scored on the same folds of the same cohorts, so differences are
paired; the spread between splits is corrected for training sets that overlap (Nadeau and Bengio 2003): the variance of
a mean over J splits is (1/J + n_test/n_train) s^2. Hidden test parts are never opened here.

`--parts 7` draws a cohort seven times as large, with as many patients and malignant lesions in each seventh as in one
of that size, trains on one part and scores the others: training sets share nothing, and the spread is as it is.

    python -m benchmarks.stage_two_choices [--lesions 4000] [--seeds 1 2 3] [--table train-metadata.csv]
        [--parts 7] [--repeats 1] [--only NAME ...] [--json PATH]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort
from data.errors import DataError
from data.files import fingerprint, write_json
from data.folds import FoldRecipe, Folds, make_folds
from data.matrix import Matrix
from data.readers.isic2024 import read
from data.relabel import biopsied_benign
from data.scores.scores import pauc
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.encode import Encoder
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member
from tabular.recipe import MemberRecipe, TabularRecipe

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """One way to do stage two."""

    features: FeatureRecipe
    tabular: TabularRecipe


@dataclass
class Data:
    """A cohort, with everything that choices share computed once."""

    name: str
    cohort: Cohort
    apart: bool = False
    """Train on one fold and score the others."""
    tables: dict[str, FeatureTable] = field(default_factory=dict)
    fitted: dict[str, Floats] = field(default_factory=dict)
    """What a member said of the lesions held out of a split, by everything that decides it."""

    def table(self, recipe: FeatureRecipe) -> FeatureTable:
        """Engineered features."""
        made = {"set": recipe.set, "families": recipe.families, "without": recipe.without}
        key = fingerprint(made)
        if key not in self.tables:
            self.tables[key] = build(self.cohort, recipe)
        return self.tables[key]

    def rows(self, folds: Folds, fold: int) -> tuple[Ints, Ints]:
        """Rows to train on and rows to score: all folds but one and that one, or the other way round."""
        rows = folds.train_rows(fold), folds.validation_rows(fold)
        return rows[::-1] if self.apart else rows

    def columns(self, choice: Choice, folds: Folds, repeat: int, fold: int, folder: Path) -> dict[str, Floats]:
        """Every member's column for the rows to score."""
        used = np.ones(len(self.cohort.ids), bool)
        if choice.tabular.exclude != "none":
            used = ~biopsied_benign(self.cohort)
        matrices: list[tuple[Matrix, Matrix]] = []
        return {
            member.name: np.mean(
                [self.said(choice, member, seed, folds, repeat, fold, used, matrices, folder) for seed in member.seeds],
                axis=0,
            )
            for member in choice.tabular.members
        }

    def said(
        self,
        choice: Choice,
        member: MemberRecipe,
        seed: int,
        folds: Folds,
        repeat: int,
        fold: int,
        used: npt.NDArray[np.bool_],
        matrices: list[tuple[Matrix, Matrix]],
        folder: Path,
    ) -> Floats:
        """What one model says of its held-out lesions."""
        tabular = choice.tabular
        own = member.model_dump(mode="json", exclude={"name", "seeds"})
        resample = tabular.resample.model_dump(mode="json")
        key = fingerprint([own, seed, resample, tabular.exclude, choice.features.model_dump(mode="json"), repeat, fold])
        if key not in self.fitted:
            rows, scored = self.rows(folds, fold)
            if not matrices:
                encoder, train = Encoder.fit_transform(
                    self.table(choice.features),
                    rows,
                    self.cohort.target,
                    choice.features,
                    groups=self.cohort.groups,
                )
                matrices.append((train, encoder.transform(self.table(choice.features), scored)))
            train, held_out = matrices[0]
            _, groups = np.unique(self.cohort.groups[rows], return_inverse=True)
            fit_member(
                member,
                tabular,
                train,
                self.cohort.target[rows],
                groups,
                np.flatnonzero(used[rows]),
                seed=seed + 1000 * fold,
                folder=folder,
            )
            self.fitted[key] = predict_member(member, folder, held_out, np.arange(len(held_out.values)))
        return self.fitted[key]


LEAF = {"min_data_in_leaf": 20}
LIGHTGBM = {"name": "lightgbm", "booster": "lightgbm", "parameters": LEAF}
DEEP = {"extra_trees": True, "learning_rate": 0.03, "max_depth": 6, "num_leaves": 31, "feature_fraction": 0.3}
RANDOM = {"name": "random_splits", "booster": "lightgbm", "iterations": 400, "parameters": {**LEAF, **DEEP}}
CATBOOST = {"name": "catboost", "booster": "catboost", "device": "cpu"}
XGBOOST = {"name": "xgboost", "booster": "xgboost"}
LOGISTIC = {"name": "logistic", "booster": "logistic", "parameters": {"C": 0.003}}
PLACES = ["location_z", "simple_location_z", "site_z"]

BASE: Changes = {
    "features": {"set": "compact"},
    "tabular": {
        "members": [LIGHTGBM, RANDOM, CATBOOST],
        "exclude": "biopsied_benign",
        "resample": {"method": "none"},
        "blend": {"method": "logit_mean"},
    },
}
"""The demo's stage two without image columns."""


def tabular(**change: Any) -> Changes:
    """Keys of `[tabular]` replaced."""
    return {"tabular": change}


AS_IT_WAS = {"method": "over_then_under", "over_ratio": 0.1, "under_ratio": 0.3}
CHOICES: Mapping[str, Changes] = {
    "lightgbm alone": tabular(members=[LIGHTGBM]),
    "random splits alone": tabular(members=[RANDOM]),
    "catboost alone": tabular(members=[CATBOOST]),
    "xgboost alone": tabular(members=[XGBOOST]),
    "with xgboost": tabular(members=[LIGHTGBM, RANDOM, CATBOOST, XGBOOST]),
    "with logistic": tabular(members=[LIGHTGBM, RANDOM, CATBOOST, LOGISTIC]),
    **{method: tabular(blend={"method": method}) for method in ("mean", "rank_mean", "weighted", "stacker")},
    "with biopsied benign": tabular(exclude="none"),
    "resampled to 0.1 and 0.3": tabular(resample=AS_IT_WAS),
    "class weights": tabular(resample={"method": "class_weights"}),
    "five bags": tabular(resample={"method": "under_bags", "under_ratio": 0.1, "bags": 5}),
    "native categories": {"features": {"set": "compact", "categories": "native", "impute": "none"}},
    "without unexpected": {"features": {"set": "compact", "unexpected": False}},
    "all features": {"features": {}},
    "no z by place": {"features": {"without": PLACES}},
    "lightgbm's defaults on z-scores": {
        "features": {"families": ["published", "patient_z"], "categories": "native", "impute": "none"},
        **tabular(
            members=[{"name": "lightgbm", "booster": "lightgbm", "start": "library", "iterations": 100}], exclude="none"
        ),
    },
    "as the third-placed entry": {
        "features": {"set": "compact", "categories": "native", "impute": "none"},
        **tabular(
            members=[{"name": "lightgbm", "booster": "lightgbm", "native_categories": False}, CATBOOST, XGBOOST],
            blend={"method": "mean"},
        ),
    },
}


def choice_of(changes: Changes, without: list[str]) -> Choice:
    """The base with some keys replaced, and without some members; through JSON, as a recipe comes."""
    tabular = {**BASE["tabular"], **changes.get("tabular", {})}
    tabular["members"] = [member for member in tabular["members"] if member["name"] not in without]
    return Choice(
        FeatureRecipe.model_validate_json(json.dumps(changes.get("features", BASE["features"]))),
        TabularRecipe.model_validate_json(json.dumps(tabular)),
    )


def split_scores(data: Data, choice: Choice, repeats: int, parts: int, folder: Path) -> list[float]:
    """PAUC of the blend on what is scored of every split."""
    scores = []
    target = data.cohort.target
    for repeat in range(repeats):
        folds = make_folds(data.cohort, FoldRecipe(count=parts, seed=100 + repeat, max_positive_imbalance=9.0))
        if not data.apart:
            whole = {member.name: np.full(len(target), np.nan) for member in choice.tabular.members}
        for fold in range(folds.count):
            _, scored = data.rows(folds, fold)
            columns = data.columns(choice, folds, repeat, fold, folder)
            if data.apart:
                mixed = blend(columns, choice.tabular.blend, target=target[scored], folds=folds.fold[scored])
                scores.append(pauc(target[scored], mixed.out_of_fold))
            else:
                for name, column in columns.items():
                    whole[name][scored] = column
        if not data.apart:
            blended = blend(whole, choice.tabular.blend, target=target, folds=folds.fold).out_of_fold
            scores += [pauc(target[rows], blended[rows]) for rows in map(folds.validation_rows, range(folds.count))]
    return scores


def standard_error(differences: list[float], overlap: float) -> float:
    """Standard error of a mean over splits; `overlap` is scored over training rows, 0 where those share nothing."""
    return float(np.sqrt((1 / len(differences) + overlap) * np.var(differences, ddof=1)))


def cohorts(options: argparse.Namespace, folder: Path) -> Iterator[Data]:
    """The synthetic ones, then the table given."""
    for seed in options.seeds:
        where = folder / f"cohort_{options.lesions}_{seed}"
        one, parts = SyntheticRecipe(lesions=options.lesions).counts, options.parts or 1
        sizes = {name: parts * getattr(one, name) for name in ("lesions", "patients", "malignant", "biopsied")}
        write_cohort(where, SyntheticRecipe(**sizes, test_lesions=50, seed=seed, images=False))
        yield Data(f"synthetic, {options.lesions} lesions, seed {seed}", read(where).train, apart=bool(options.parts))
    if options.table is not None:
        alone = folder / "table"
        alone.mkdir()
        (alone / "train-metadata.csv").write_bytes(options.table.read_bytes())
        yield Data(options.table.name, read(alone).train)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", type=Path, help="real rows, the training table as published")
    parser.add_argument("--parts", type=int, default=0, help="train on one part of so many, score the others")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of choices; all of them unless given")
    parser.add_argument("--without", nargs="*", default=[], help="members of the base to do without, to save time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = {name: CHOICES[name] for name in options.only or CHOICES}
    folds = options.parts or 5
    overlap = 0.0 if options.parts else 1 / (folds - 1)
    differences: dict[str, list[tuple[float, float]]] = {}
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for data in cohorts(options, Path(name)):
            base = split_scores(data, choice_of({}, options.without), options.repeats, folds, Path(name))
            found[data.name] = {"base": base}
            print(f"\n{data.name}\n  {'base':28} {fmean(base):.4f}", flush=True)
            for title, changes in wanted.items():
                began = time.process_time()
                try:
                    scores = split_scores(data, choice_of(changes, options.without), options.repeats, folds, Path(name))
                except DataError as error:
                    print(f"  {title:28} {error}")
                    continue
                found[data.name][title] = scores
                pairs = [one - other for one, other in zip(scores, base, strict=True)]
                differences.setdefault(title, []).append((fmean(pairs), standard_error(pairs, overlap)))
                print(
                    f"  {title:28} {fmean(scores):.4f} {fmean(pairs):+.4f} +- {standard_error(pairs, overlap):.4f}"
                    f"  ({time.process_time() - began:.0f} CPU s)",
                    flush=True,
                )
                if options.json:
                    write_json(options.json, found)
    print("\nall cohorts: mean difference to the base, with its standard error")
    for title, per_cohort in differences.items():
        mean = fmean(mean for mean, _ in per_cohort)
        error = np.sqrt(sum(error**2 for _, error in per_cohort)) / len(per_cohort)
        print(f"  {title:28} {mean:+.4f} +- {error:.4f}   {' '.join(f'{mean:+.4f}' for mean, _ in per_cohort)}")


if __name__ == "__main__":
    main()
