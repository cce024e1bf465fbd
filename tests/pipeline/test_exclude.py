"""`tabular.exclude` leaves lesions out of what members train on, and out of nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.readers.isic2024 import read
from data.relabel import biopsied_benign
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe

MEMBER = "lightgbm_metadata"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of tables with some biopsied benign lesions."""
    folder = tmp_path_factory.mktemp("tables") / "cohort"
    write_cohort(folder, SyntheticRecipe(lesions=400, test_lesions=60, malignant=40, biopsied=60, images=False))
    return folder


@pytest.fixture
def recipe(variant: Any) -> Path:
    """Tables alone, two members."""

    def metadata_only(raw: dict[str, Any]) -> None:
        raw["image_models"] = []
        raw["folds"] = {"count": 3, "max_positive_imbalance": 9.0}
        raw["tabular"]["members"] = raw["tabular"]["members"][:2]

    return variant(metadata_only)


def fitted(cli: Any, recipe: Path, data: Path, run: Path, rule: str) -> Path:
    answer = cli(*("submission", "--recipe", recipe, "--data", data, "--run", run), "--set", f"tabular.exclude={rule}")
    assert answer.code == 0, answer
    return run


def trained_rows(run: Path, fold: int) -> int:
    """Rows before resampling follow from the share of positives; the manifest has those after it."""
    (manifest,) = run.glob(f"tabular/{MEMBER}/fold_{fold}/seed_*/models.json")
    return int(json.loads(manifest.read_text())["models"][0]["rows"])


def test_only_training_rows_are_left_out(cli: Any, recipe: Path, tables: Path, tmp_path: Path):
    runs = {rule: fitted(cli, recipe, tables, tmp_path / rule, rule) for rule in ("none", "biopsied_benign")}
    for file in ("folds.parquet", *(f"features/fold_{fold}/encoder.json" for fold in range(3))):
        kept, left_out = ((run / file).read_bytes() for run in runs.values())
        assert kept == left_out, file
    tables_of = [pl.read_parquet(run / "tabular" / "oof.parquet") for run in runs.values()]
    assert tables_of[0]["lesion_id"].equals(tables_of[1]["lesion_id"])
    assert tables_of[1].null_count().sum_horizontal()[0] == 0
    assert not tables_of[0][MEMBER].equals(tables_of[1][MEMBER]), "the rule changes what members learn"
    answers = [pl.read_csv(run / "submission.csv") for run in runs.values()]
    assert answers[0].columns[0] == answers[1].columns[0]
    assert answers[0][:, 0].equals(answers[1][:, 0])


def test_every_such_row_is_gone_and_no_other(cli: Any, recipe: Path, tables: Path, tmp_path: Path, variant: Any):
    def as_it_is(raw: dict[str, Any]) -> None:
        raw["image_models"] = []
        raw["folds"] = {"count": 3, "max_positive_imbalance": 9.0}
        raw["tabular"] = {"members": raw["tabular"]["members"][:1], "resample": {"method": "none"}}

    plain = variant(as_it_is)
    runs = {rule: fitted(cli, plain, tables, tmp_path / rule, rule) for rule in ("none", "biopsied_benign")}
    gone = biopsied_benign(read(tables).train)
    fold = pl.read_parquet(runs["none"] / "folds.parquet")["fold"].to_numpy()
    assert gone.sum() == 60
    for number in range(3):
        missing = trained_rows(runs["none"], number) - trained_rows(runs["biopsied_benign"], number)
        assert missing == int(gone[fold != number].sum())


def test_a_scored_lesions_diagnosis_never_counts(cli: Any, recipe: Path, tables: Path, tmp_path: Path):
    run = fitted(cli, recipe, tables, tmp_path / "true", "biopsied_benign")
    fold = pl.read_parquet(run / "folds.parquet")["fold"].to_numpy()
    scrambled = tmp_path / "scrambled"
    scrambled.mkdir()
    for path in tables.iterdir():
        (scrambled / path.name).write_bytes(path.read_bytes())
    train = pl.read_csv(tables / "train-metadata.csv", infer_schema=False)
    order = np.arange(train.height)
    order[fold == 1] = np.random.default_rng(0).permutation(order[fold == 1])
    train.with_columns(train[name].gather(order) for name in ("iddx_1", "iddx_2")).write_csv(
        scrambled / "train-metadata.csv"
    )
    answer = cli(
        *("tabular", "--recipe", recipe, "--data", scrambled, "--run", tmp_path / "other"),
        *("--set", "tabular.exclude=biopsied_benign", "--set", f"folds.file={run / 'folds.parquet'}"),
    )
    assert answer.code == 0, answer
    one, other = (pl.read_parquet(folder / "tabular" / "oof.parquet") for folder in (run, tmp_path / "other"))
    own = fold == 1
    assert one[MEMBER].filter(own).equals(other[MEMBER].filter(own))
    assert not one[MEMBER].filter(~own).equals(other[MEMBER].filter(~own)), "training rows do depend on it"


def test_data_that_do_not_say_are_refused(tables: Path):
    from dataclasses import replace

    from data.errors import DataError

    train = read(tables).train
    with pytest.raises(DataError, match=r"'biopsied_benign' is asked for, but the training table has no iddx_2"):
        biopsied_benign(replace(train, table=train.table.drop("iddx_2")))
