"""Stage two on tables alone against two rivals, on the hidden test part of cohorts that no choice was made on.

- `third`: the third-placed entry's way, in code of our own: about 160 columns (published, derived, z-scores by
  patient, counts), biopsied benign lesions left out, resampled to 0.003 and 0.01, the three libraries called with
  the whole public parameter set, categories by their codes (as categories in CatBoost), the mean of all fold models.
- `plain_lightgbm`: LightGBM's own defaults on the published columns and their z-scores by patient, one model.

`--fold-models 1` takes the models of one fold on both sides, for a fifth of the time.

    python -m benchmarks.stage_two_rivals [--recipe demo] [--lesions 4000] [--test-lesions 3000] [--seeds 101 102 103]
        [--fold-models N] [--shift 1]
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
import xgboost
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from data.cohort import Cohort
from data.folds import Folds, make_folds
from data.readers.isic2024 import read
from data.relabel import biopsied_benign
from data.scores.intervals import paired_bootstrap
from data.scores.scores import pauc
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.encode import Encoder
from features.recipe import FeatureRecipe
from features.table import build
from pipeline.recipe import Recipe, load_recipe
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member

Floats = npt.NDArray[np.float64]
THREADS = 1


def ours(train: Cohort, test: Cohort, folds: Folds, used: range, recipe: Recipe, folder: Path) -> dict[str, Floats]:
    """A recipe's stage two without image columns: members, and their blend."""
    members = [member for member in recipe.tabular.members if member.image_columns]
    kept = np.ones(len(train.ids), bool) if recipe.tabular.exclude == "none" else ~biopsied_benign(train)
    table, test_table = (build(cohort, recipe.features) for cohort in (train, test))
    out_of_fold = {member.name: np.full(len(train.ids), np.nan) for member in members}
    on_test = {member.name: np.zeros(len(test.ids)) for member in members}
    _, groups = np.unique(train.groups, return_inverse=True)
    for fold in used:
        rows, held_out = folds.train_rows(fold), folds.validation_rows(fold)
        encoder, matrix = Encoder.fit_transform(table, rows, train.target, recipe.features, groups=train.groups)
        for member in members:
            for seed in member.seeds:
                fit_member(
                    replace_device(member),
                    recipe.tabular,
                    matrix,
                    train.target[rows],
                    groups[rows],
                    np.flatnonzero(kept[rows]),
                    seed=seed + fold,
                    folder=folder,
                )
                for part, to, where in ((held_out, out_of_fold, table), (None, on_test, test_table)):
                    values = encoder.transform(where, part)
                    said = predict_member(member, folder, values, np.arange(len(values.values))) / len(member.seeds)
                    if part is None:
                        to[member.name] += said / len(used)
                    else:
                        to[member.name][part] = np.nan_to_num(to[member.name][part]) + said
    blended = blend(out_of_fold, recipe.tabular.blend, target=train.target, folds=folds.fold)
    return {**on_test, "blend": blended.state.apply(on_test)}


def replace_device(member: Any) -> Any:
    """The member on the CPU."""
    return member.model_copy(update={"device": "cpu"})


def third(train: Cohort, test: Cohort, folds: Folds, used: range) -> Floats:
    """The third-placed entry's stage two."""
    families = ("published", "size", "colour", "border", "position", "patient_z", "counts")
    recipe = FeatureRecipe(families=families, categories="native", impute="none")
    table, test_table = build(train, recipe), build(test, recipe)
    total = np.zeros(len(test.ids))
    kept = ~biopsied_benign(train)
    for fold in used:
        rows = folds.train_rows(fold)[kept[folds.train_rows(fold)]]
        encoder, matrix = Encoder.fit_transform(table, rows, train.target, recipe)
        target = train.target[rows]
        drawn = resampled(target, seed=fold)
        where = encoder.transform(test_table).values
        categories = list(matrix.categorical)
        for said in boosters(matrix.values[drawn], target[drawn], where, categories):
            total += said / (3 * len(used))
    return total


def resampled(target: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Rows oversampled to 0.003 and undersampled to 0.01 positives per negative, where there are fewer."""
    rows = np.arange(len(target))[:, None]
    for sampler, ratio in ((RandomOverSampler, 0.003), (RandomUnderSampler, 0.01)):
        labels = target[rows[:, 0]]
        if labels.sum() / (len(labels) - labels.sum()) < ratio:
            rows, _ = sampler(sampling_strategy=ratio, random_state=seed).fit_resample(rows, labels)
    return rows[:, 0]


def boosters(values: Any, target: Any, where: Any, categories: list[int]) -> Iterator[Floats]:
    """The three libraries with the public parameter set."""
    first = lightgbm.LGBMClassifier(
        n_estimators=200, learning_rate=0.03231, max_depth=4, num_leaves=103, colsample_bytree=0.83296,
        colsample_bynode=0.4026, subsample=0.7739, subsample_freq=4, min_child_samples=85, reg_alpha=0.0876,
        reg_lambda=0.00397, scale_pos_weight=2.7984, random_state=42, n_jobs=THREADS, verbosity=-1,
    )  # fmt: skip
    yield first.fit(values, target).predict_proba(where)[:, 1]
    second = catboost.CatBoostClassifier(
        iterations=250, learning_rate=0.06936, depth=7, l2_leaf_reg=6.2161, subsample=0.6249, border_count=128,
        bootstrap_type="Bernoulli", scale_pos_weight=2.6149, random_seed=42, thread_count=THREADS, verbose=False,
        allow_writing_files=False,
    )  # fmt: skip
    yield second.fit(as_frame(values, categories), target, cat_features=categories).predict_proba(
        as_frame(where, categories)
    )[:, 1]
    third = xgboost.XGBClassifier(
        n_estimators=100, learning_rate=0.08501, max_depth=6, reg_lambda=8.8796, reg_alpha=0.6780, subsample=0.6013,
        colsample_bytree=0.84378, colsample_bylevel=0.5476, colsample_bynode=0.9929, scale_pos_weight=3.2944,
        random_state=42, n_jobs=THREADS,
    )  # fmt: skip
    yield third.fit(values, target).predict_proba(where)[:, 1]


def as_frame(values: Any, categories: list[int]) -> Any:
    """Columns with the categories as text, as CatBoost takes them."""
    import pandas as pd

    frame = pd.DataFrame(values)
    for column in categories:
        frame[column] = frame[column].map(lambda code: "missing" if np.isnan(code) else str(int(code)))
    return frame


def lightgbm_alone(train: Cohort, test: Cohort, *images: Floats) -> Floats:
    """LightGBM as it comes; with columns of networks, of the training and the test lesions, beside the table's."""
    recipe = FeatureRecipe(families=("published", "patient_z"), categories="native", impute="none")
    rows = np.arange(len(train.ids))
    encoder, matrix = Encoder.fit_transform(build(train, recipe), rows, train.target, recipe)
    model = lightgbm.LGBMClassifier(random_state=42, n_jobs=THREADS, verbosity=-1)
    shown = [matrix.values, encoder.transform(build(test, recipe)).values]
    if images:
        shown = [np.column_stack(both) for both in zip(shown, images, strict=True)]
    model.fit(shown[0], train.target, categorical_feature=list(matrix.categorical))
    return np.asarray(model.predict_proba(shown[1])[:, 1])


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--lesions", type=int, default=4000)
    parser.add_argument("--test-lesions", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--shift", type=float, default=0.0, help="how far institutions are apart, in deviations")
    parser.add_argument("--fold-models", type=int, default=0, help="models of so many folds; 0: of all")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as name:
            where = Path(name) / "cohort"
            sizes = SyntheticRecipe(
                lesions=options.lesions,
                test_lesions=options.test_lesions,
                seed=seed,
                images=False,
                institution_shift=options.shift,
            )
            write_cohort(where, sizes)
            folder = read(where)
            assert folder.test is not None
            train, test = folder.train, folder.test
            folds = make_folds(train, replace_seed(recipe, seed))
            used = range(options.fold_models or folds.count)
            answers = pl.read_csv(where / "test-answers.csv")
            assert answers["isic_id"].to_list() == test.ids.tolist()
            target = answers["target"].to_numpy()
            columns = ours(train, test, folds, used, recipe, Path(name))
            columns |= {"third": third(train, test, folds, used), "plain_lightgbm": lightgbm_alone(train, test)}
        print(f"seed {seed}: " + ", ".join(f"{title} {pauc(target, said):.4f}" for title, said in columns.items()))
        for rival in ("third", "plain_lightgbm"):
            gap = paired_bootstrap(target, columns["blend"], columns[rival], test.groups)
            print(f"  blend less {rival:10} {gap}", flush=True)


def replace_seed(recipe: Recipe, seed: int) -> Any:
    """The recipe's folds with a seed of their own, whatever the balance of a small cohort."""
    return recipe.folds.model_copy(update={"seed": seed, "max_positive_imbalance": 9.0})


if __name__ == "__main__":
    main()
