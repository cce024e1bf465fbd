"""Joining lesions to patients: what each way may and may not tell."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from scipy.stats import mannwhitneyu

from data.errors import DataError
from data.progress import silent
from data.readers import READERS
from data.readers.paired import CLINICAL, GROUP, PATIENT, Paired, PairingRecipe
from data.schemas.tcga_skcm import REFUSED
from data.synthetic.recipe import TwinRecipe
from data.synthetic.stand_in import is_invented

LESIONS = READERS["ham10000_binary"].bind(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("paired")
    paired().write_twin(made, TwinRecipe(lesions=200, image_side=33), silent)
    return made


def paired(**more: object) -> Paired:
    return Paired(PairingRecipe.model_validate(more), LESIONS)


def test_a_table_joins_whom_it_names(folder: Path) -> None:
    data = paired().read(folder)
    table = data.train.table
    with (folder / "pairing.csv").open() as handle:
        pairs = {row["image_id"]: row["patient_id"] for row in csv.DictReader(handle)}
    assert 0 < len(pairs) < table.height
    assert table[PATIENT].to_list() == [pairs.get(name) for name in data.train.ids]
    alone = table[PATIENT].is_null()
    assert table.filter(alone)["tcga_AGE"].null_count() == alone.sum()
    assert table.filter(~alone)["tcga_AGE"].null_count() == 0
    assert f"{len(pairs)} lesions are paired with patients by pairing.csv" in data.notes[0]
    assert not {f"tcga_{name}" for name in REFUSED} & {column.name for column in CLINICAL}
    assert PATIENT in data.train.forbidden


def test_neither_a_patient_nor_a_lesion_is_on_two_sides(folder: Path, tmp_path: Path) -> None:
    ours = tmp_path / "all"
    ours.mkdir()
    for part in ("ham10000", "tcga_skcm"):
        (ours / part).symlink_to(folder / part)
    lesions = LESIONS.read(folder / "ham10000").train
    patients = sorted(set(paired().read(folder).train.table[PATIENT].drop_nulls()))[:3]
    rng = np.random.default_rng(0)
    rows = [f"{name},{rng.choice(patients)}" for name in lesions.ids[::4]]
    (ours / "pairing.csv").write_text("\n".join(["image_id,patient_id", *rows]) + "\n")
    train = paired().read(ours).train
    assert train.task.group == GROUP
    for column in ("lesion_id", PATIENT):
        counts = train.table.drop_nulls(column).group_by(column).n_unique()[GROUP]
        assert counts.max() == 1
    # Lesions that share nothing stay apart.
    assert len(set(train.groups)) > 50


def test_pairing_by_label_hands_the_label_over_and_says_so(folder: Path) -> None:
    def separation(method: str) -> float:
        """AUC of the Breslow depth for the lesion's label."""
        data = paired(method=method, seed=1).read(folder)
        table = data.train.table.drop_nulls("tcga_BRESLOW_DEPTH").unique("lesion_id")
        target, depth = table["target"].to_numpy(), table["tcga_BRESLOW_DEPTH"].to_numpy()
        statistic = mannwhitneyu(depth[target == 1], depth[target == 0]).statistic
        return float(abs(statistic / ((target == 1).sum() * (target == 0).sum()) - 0.5))

    assert separation("by_label") > 0.2
    assert separation("at_random") < 0.12
    notes = paired(method="by_label").read(folder).notes
    assert "BY LABEL" in notes[0]


def test_one_draw_per_lesion_and_seed(folder: Path) -> None:
    first, again, other = (
        paired(method="at_random", seed=seed).read(folder).train.table[PATIENT].to_list() for seed in (1, 1, 2)
    )
    assert first == again != other
    table = paired(method="by_label").read(folder).train.table
    assert table.group_by("lesion_id").n_unique()[PATIENT].max() == 1


def test_none_leaves_the_columns_empty(folder: Path) -> None:
    data = paired(method="none").read(folder)
    assert data.train.table.select(column.name for column in CLINICAL).null_count().sum_horizontal()[0] == len(
        CLINICAL
    ) * len(data.train.ids)
    assert data.train.task.group == "lesion_id"


def test_the_method_is_part_of_the_fingerprint(folder: Path) -> None:
    prints = {paired(method=method).read(folder).train.fingerprint for method in ("table", "at_random", "by_label")}
    assert len(prints) == 3


def test_strangers_in_the_table_are_named(folder: Path, tmp_path: Path) -> None:
    for part in ("ham10000", "tcga_skcm"):
        (tmp_path / part).symlink_to(folder / part)
    (tmp_path / "pairing.csv").write_text("image_id,patient_id\nISIC_X,TCGA-Y\n")
    with pytest.raises(DataError) as caught:
        paired().read(tmp_path)
    assert "1 name no lesion of the images' table (ISIC_X)" in str(caught.value)
    assert "1 name no patient of the clinical tables (TCGA-Y)" in str(caught.value)


def test_new_lesions_bring_their_patients_columns_along(folder: Path, tmp_path: Path) -> None:
    train = paired().read(folder).train
    kept = [name for name in train.table.columns if name not in train.forbidden and name != GROUP]
    train.table.select("lesion_id", *kept).head(5).write_csv(tmp_path / "new.csv")
    cohort, images, notes = paired().read_test(tmp_path / "new.csv", None)
    names = [column.name for column in CLINICAL]
    assert cohort.table.select(names).equals(train.table.select(names).head(5))
    assert (images, notes) == (None, ())
    train.table.select("lesion_id", *kept).drop("tcga_AGE").write_csv(tmp_path / "new.csv")
    with pytest.raises(DataError, match="column tcga_AGE is missing"):
        paired().read_test(tmp_path / "new.csv", None)


def test_each_data_set_of_the_twin_is_invented_by_itself(folder: Path) -> None:
    assert is_invented(folder / "ham10000")
    assert is_invented(folder / "tcga_skcm")


@pytest.mark.parametrize(
    ("lesions", "said"),
    [
        ("ham1000_binary", "did you mean 'ham10000_binary'"),
        (
            "ham10000",
            "a pairing takes images of two classes; 'ham10000' is none of ham10000_binary, isic2024, ph2_binary",
        ),
        ("tcga_skcm", "images of two classes"),
        ("paired", "images of two classes"),
    ],
)
def test_only_images_of_two_classes_are_paired(lesions: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PairingRecipe(lesions=lesions)


@pytest.mark.parametrize("method", ["table", "at_random", "by_label"])
def test_metastasis_is_asked_of_the_patient(folder: Path, method: str) -> None:
    lesion, patient = (paired(method=method, predicts=what).read(folder) for what in ("diagnosis", "metastasis"))
    before, train = lesion.train.table.drop_nulls(PATIENT), patient.train.table
    assert train[PATIENT].to_list() == before[PATIENT].to_list()
    with (folder / "tcga_skcm" / "data_clinical_sample.txt").open() as handle:
        rows = list(csv.DictReader((line for line in handle if not line.startswith("#")), delimiter="\t"))
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["PATIENT_ID"], row["SAMPLE_TYPE"])
    assert patient.train.target.tolist() == [int(first[name] == "Metastasis") for name in train[PATIENT]]
    assert (train["target"].to_list() == before["target"].to_list()) == (method == "by_label")
    for column in ("lesion_id", PATIENT):  # or the answer of a patient would be on two sides of a fold
        assert train.group_by(column).n_unique()[GROUP].max() == 1
    assert patient.train.task.classes == ("primary", "metastasis")
    assert patient.train.task.score == "auc"
    assert {"dx", "target", PATIENT} <= patient.train.forbidden
    assert "the patient's specimen was a metastasis" in patient.notes[0]
    apart = [any("in several folds" in note for note in data.notes) for data in (lesion, patient)]
    assert apart == [method == "by_label", False]
    assert patient.train.fingerprint != lesion.train.fingerprint


def test_metastasis_needs_patients_of_both_kinds(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="method = 'none' gives no lesion one"):
        PairingRecipe(method="none", predicts="metastasis")
    for part in ("ham10000", "tcga_skcm"):
        (tmp_path / part).symlink_to(folder / part)
    train = paired(method="by_label").read(folder).train
    benign = train.table.filter(pl.col("target") == 0).select("image_id", pl.col(PATIENT).alias("patient_id"))
    benign.write_csv(tmp_path / "pairing.csv")
    with pytest.raises(DataError, match=r"lack a class \(primary or metastasis\)"):
        paired(predicts="metastasis").read(tmp_path)
