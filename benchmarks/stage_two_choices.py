"""Which choices of stage two pay: repeated cross-validation on several cohorts, each choice against the same base.

A choice is a change of the recipe. Every choice is scored on the same folds of the same cohorts, so differences are
paired; the spread between splits is corrected for training sets that overlap (Nadeau and Bengio 2003): the variance of
a mean over J splits is (1/J + n_test/n_train) s^2. Hidden test parts are never opened here.

    python -m benchmarks.stage_two_choices [--lesions 4000] [--seeds 1 2 3] [--table train-metadata.csv]
        [--repeats 1] [--only NAME ...] [--json PATH]
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

    def out_of_fold(self, choice: Choice, folds: Folds, repeat: int, folder: Path) -> dict[str, Floats]:
        """Every member's column."""
        columns = {member.name: np.full(len(self.cohort.ids), np.nan) for member in choice.tabular.members}
        used = np.ones(len(self.cohort.ids), bool)
        if choice.tabular.exclude != "none":
            used = ~biopsied_benign(self.cohort)
        for fold in range(folds.count):
            matrices: list[tuple[Matrix, Matrix]] = []
            for member in choice.tabular.members:
                said = [
                    self.said(choice, member, seed, folds, repeat, fold, used, matrices, folder)
                    for seed in member.seeds
                ]
                columns[member.name][folds.validation_rows(fold)] = np.mean(said, axis=0)
        return columns

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
            rows = folds.train_rows(fold)
            if not matrices:
                encoder, train = Encoder.fit_transform(
                    self.table(choice.features),
                    rows,
                    self.cohort.target,
                    choice.features,
                    groups=self.cohort.groups,
                )
                matrices.append((train, encoder.transform(self.table(choice.features), folds.validation_rows(fold))))
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


BASE: Changes = {
    "features": {},
    "tabular": {
        "members": [
            {"name": "lightgbm", "booster": "lightgbm", "parameters": {"min_data_in_leaf": 20}},
            {"name": "catboost", "booster": "catboost", "device": "cpu"},
            {"name": "xgboost", "booster": "xgboost"},
        ],
        "resample": {"method": "over_then_under", "over_ratio": 0.1, "under_ratio": 0.3},
    },
}


def members(change: Changes) -> list[Changes]:
    """The base's members, each with the same change."""
    merged = []
    for member in BASE["tabular"]["members"]:
        given = {key: value for key, value in change.items() if key != "parameters"}
        merged.append(
            {**member, **given, "parameters": {**member.get("parameters", {}), **change.get("parameters", {})}}
        )
    return merged


def single(name: str) -> list[Changes]:
    """One of the base's members alone."""
    return [member for member in BASE["tabular"]["members"] if member["name"] == name]


LOGISTIC = {"name": "logistic", "booster": "logistic", "parameters": {"C": 0.003}}
RANKS = ["patient_rank", "patient_robust_z", "skin_neighbours", "local_outlier_factor"]
PLACES = ["location_z", "simple_location_z", "site_z"]

CHOICES: Mapping[str, Changes] = {
    "lightgbm alone": {"tabular": {"members": single("lightgbm")}},
    "catboost alone": {"tabular": {"members": single("catboost")}},
    "xgboost alone": {"tabular": {"members": single("xgboost")}},
    "table 2 as printed": {"tabular": {"members": members({"start": "table_two"})}},
    "logit mean": {"tabular": {"blend": {"method": "logit_mean"}}},
    "rank mean": {"tabular": {"blend": {"method": "rank_mean"}}},
    "weights": {"tabular": {"blend": {"method": "weighted"}}},
    "stacker": {"tabular": {"blend": {"method": "stacker"}}},
    "stacker on ranks": {"tabular": {"blend": {"method": "rank_stacker"}}},
    "without biopsied benign": {"tabular": {"exclude": "biopsied_benign"}},
    "not resampled": {"tabular": {"resample": {"method": "none"}}},
    "class weights": {"tabular": {"resample": {"method": "class_weights"}}},
    "five bags": {"tabular": {"resample": {"method": "under_bags", "under_ratio": 0.1, "bags": 5}}},
    "native categories": {"features": {"categories": "native"}},
    "no z by place": {"features": {"without": PLACES}},
    "z by patient alone": {
        "features": {
            "without": [*PLACES, "patient_rank", "patient_robust_z", "skin_neighbours", "local_outlier_factor"]
        }
    },
    "as the third-placed entry": {
        "features": {"without": [*PLACES, *RANKS, "outlying"], "categories": "native", "impute": "none"},
        "tabular": {"exclude": "biopsied_benign", "resample": {"method": "none"}},
    },
    "logistic alone": {"tabular": {"members": [LOGISTIC]}},
    "with logistic": {"tabular": {"members": [*members({}), LOGISTIC]}},
    "with logistic, logit mean": {"tabular": {"members": [*members({}), LOGISTIC], "blend": {"method": "logit_mean"}}},
    "with logistic, rank mean": {"tabular": {"members": [*members({}), LOGISTIC], "blend": {"method": "rank_mean"}}},
    "with logistic, stacker": {"tabular": {"members": [*members({}), LOGISTIC], "blend": {"method": "stacker"}}},
}


def choice_of(changes: Changes, without: list[str]) -> Choice:
    """The base with some keys replaced, and without some members; through JSON, as a recipe comes."""
    tabular = {**BASE["tabular"], **changes.get("tabular", {})}
    tabular["members"] = [member for member in tabular["members"] if member["name"] not in without]
    return Choice(
        FeatureRecipe.model_validate_json(json.dumps({**BASE["features"], **changes.get("features", {})})),
        TabularRecipe.model_validate_json(json.dumps(tabular)),
    )


def split_scores(data: Data, choice: Choice, repeats: int, folder: Path) -> list[float]:
    """PAUC of the blend on the held-out part of every split."""
    scores = []
    for repeat in range(repeats):
        folds = make_folds(data.cohort, FoldRecipe(seed=100 + repeat, max_positive_imbalance=9.0))
        columns = data.out_of_fold(choice, folds, repeat, folder)
        target = data.cohort.target
        blended = blend(columns, choice.tabular.blend, target=target, folds=folds.fold).out_of_fold
        scores += [
            pauc(target[rows], blended[rows]) for rows in (folds.validation_rows(fold) for fold in range(folds.count))
        ]
    return scores


def corrected_error(differences: list[float], folds: int = 5) -> float:
    """Standard error of a mean over splits whose training parts overlap."""
    spread = float(np.var(differences, ddof=1))
    return float(np.sqrt((1 / len(differences) + 1 / (folds - 1)) * spread))


def cohorts(options: argparse.Namespace, folder: Path) -> Iterator[Data]:
    """The synthetic ones, then the table given."""
    for seed in options.seeds:
        where = folder / f"cohort_{options.lesions}_{seed}"
        write_cohort(where, SyntheticRecipe(lesions=options.lesions, test_lesions=50, seed=seed, images=False))
        yield Data(f"synthetic, {options.lesions} lesions, seed {seed}", read(where).train)
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
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of choices; all of them unless given")
    parser.add_argument("--without", nargs="*", default=[], help="members of the base to do without, to save time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = {name: CHOICES[name] for name in options.only or CHOICES}
    differences: dict[str, list[tuple[float, float]]] = {}
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for data in cohorts(options, Path(name)):
            base = split_scores(data, choice_of({}, options.without), options.repeats, Path(name))
            found[data.name] = {"base": base}
            print(f"\n{data.name}\n  {'base':28} {fmean(base):.4f}", flush=True)
            for title, changes in wanted.items():
                began = time.process_time()
                try:
                    scores = split_scores(data, choice_of(changes, options.without), options.repeats, Path(name))
                except DataError as error:
                    print(f"  {title:28} {error}")
                    continue
                found[data.name][title] = scores
                pairs = [one - other for one, other in zip(scores, base, strict=True)]
                differences.setdefault(title, []).append((fmean(pairs), corrected_error(pairs)))
                print(
                    f"  {title:28} {fmean(scores):.4f} {fmean(pairs):+.4f} +- {corrected_error(pairs):.4f}"
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
