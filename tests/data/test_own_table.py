"""What a table of one's own is taken for: columns, roles, leaks, folds; and what is asked where it is not clear."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.own.columns import look_at
from data.own.leaks import giveaways
from data.own.proposal import Proposal, Said, propose
from data.own.roles import Question, group_guess, image_guess, positive_guess, refuse_unsure
from data.readers.folder import FolderRecipe

ROWS = 120


def frame(**more: Any) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    bad = np.arange(ROWS) % 4 == 0
    return pl.DataFrame(
        {
            "Aufnahme-Nr": [f"Läsion_{i:03d}" for i in range(ROWS)],
            "Patient": [f"P{i // 3:03d}" for i in range(ROWS)],
            "Größe (mm)": [f"{x:.1f}".replace(".", ",") for x in rng.uniform(2, 9, ROWS) + bad],
            "Alter": ["unbekannt" if i % 9 == 0 else str(30 + i % 50) for i in range(ROWS)],
            "Stadium": ["2a" if i % 5 == 0 else str(i % 3) for i in range(ROWS)],
            "Ort": [("Rücken", "Arm", "Fuß")[i % 3] for i in range(ROWS)],
            "Datum": [f"{1 + i % 28:02d}.03.2023" for i in range(ROWS)],
            "Notiz": [f"Text {i} mit Wörtern" if i % 2 else f"Text {i - 1} mit Wörtern" for i in range(ROWS)],
            "Klinik": ["Köln"] * ROWS,
            "Dauer": ["1,5" if b else None for b in bad],
            "Schnitt": ["tief" if b else "flach" for b in bad],
            "Diagnose": ["Melanom" if b else "Nävus" for b in bad],
            **more,
        }
    )


def take_guess(question: Question) -> str:
    """Answer with the guess, sure or not."""
    return question.guess.value


@pytest.fixture
def proposed(tmp_path: Path) -> Callable[..., Proposal]:
    def make(table: pl.DataFrame | None = None, stems: Any = "all", ask: Any = take_guess, **said: Any) -> Proposal:
        table = frame() if table is None else table
        path = tmp_path / "aufnahmen.csv"
        table.write_csv(path, separator=";")
        names = table["Aufnahme-Nr"].to_list() if isinstance(stems, str) else stems
        return propose(path, Said(**{"target": "Diagnose", **said}), ask, stems=names)

    return make


def test_every_column_is_what_it_is(proposed: Callable[..., Proposal]) -> None:
    kinds = {column.name: column.kind for column in proposed().columns}
    assert kinds == {
        "Aufnahme-Nr": "names", "Patient": "groups", "Größe (mm)": "number", "Alter": "number", "Stadium": "category",
        "Ort": "category", "Datum": "date", "Notiz": "text", "Klinik": "constant", "Dauer": "constant",
        "Schnitt": "category", "Diagnose": "category",
    }  # fmt: skip


def test_roles_features_and_what_is_left_out(proposed: Callable[..., Proposal]) -> None:
    found = proposed()
    assert (found.lesion.value, found.group.value, found.image.value) == ("Aufnahme-Nr", "Patient", "{Aufnahme-Nr}")
    assert found.positive == ("Melanom",)
    assert found.counts == {"Nävus": 90, "Melanom": 30}
    assert [column.name for column in found.features] == ["Größe (mm)", "Alter", "Stadium", "Ort"]
    assert found.forbidden == ("Schnitt",)
    assert str(found.suspects[0]) == "Schnitt: it alone tells the answer with an AUC of 1.000"
    assert found.folds == 5
    assert found.form.missing == ("unbekannt",)
    assert [text.split(":")[0] for text in found.warnings] == ["column Alter", "column Stadium"]


def test_the_recipe_reads_the_table_as_it_was_seen(proposed: Callable[..., Proposal]) -> None:
    recipe = FolderRecipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in (
        proposed().folder_table("aufnahmen.csv", "").items())}, score="auc")  # fmt: skip
    assert recipe.numbers == ("Größe (mm)", "Alter")
    assert recipe.categories == ("Stadium", "Ort")
    assert recipe.missing == ("unbekannt",)
    assert recipe.ignored == ("Datum", "Notiz", "Klinik", "Dauer")


def test_a_column_is_kept_when_it_is_named(proposed: Callable[..., Proposal]) -> None:
    assert "Schnitt" in [column.name for column in proposed(kept=("Schnitt",)).features]


def test_what_a_caller_forbids_is_no_feature(proposed: Callable[..., Proposal]) -> None:
    found = proposed(forbidden=("Ort",))
    assert "Ort" in found.forbidden
    assert "Ort" not in [column.name for column in found.features]


def test_a_value_that_is_there_for_one_answer_alone_gives_it_away() -> None:
    bad = np.arange(100) % 2
    depth = pl.Series("depth", [f"{1 + i % 7}.5" if bad[i] else None for i in range(100)])
    found = giveaways(pl.DataFrame([depth]), [look_at(depth, True)], bad)[0]
    assert (found.auc, found.by_missing) == (1.0, True)
    assert "whether it is filled in tells" in str(found)


def test_columns_by_name_of_the_diagnosis_are_suspect(proposed: Callable[..., Proposal]) -> None:
    histology = ["x" if i % 7 else "y" for i in range(ROWS)]
    assert "Histologie" in proposed(frame(Histologie=histology)).forbidden


def test_more_classes_than_two(proposed: Callable[..., Proposal]) -> None:
    three = [("NEV", "MEL", "BCC")[i % 3] for i in range(ROWS)]
    table = frame(Diagnose=three)
    assert proposed(table).folder_table("t", "")["classes"] == ["BCC", "MEL", "NEV"]
    found = proposed(table, positive=("MEL", "BCC"))
    assert found.folder_table("t", "")["positive"] == ["MEL", "BCC"]


def test_folds_are_as_many_as_the_rarest_class_has_patients(proposed: Callable[..., Proposal]) -> None:
    few = ["Melanom" if i in (0, 1, 40, 80) else "Nävus" for i in range(ROWS)]
    assert proposed(frame(Diagnose=few)).folds == 3
    one = ["Melanom" if i < 3 else "Nävus" for i in range(ROWS)]
    with pytest.raises(DataError, match="in one patient alone"):
        proposed(frame(Diagnose=one))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"target": "Diagnos"}, "has no column 'Diagnos'; did you mean 'Diagnose'"),
        ({"group": "patient"}, "has no column 'patient'; did you mean 'Patient'"),
        ({"positive": ("melanom",)}, "no row is melanom; did you mean 'Melanom'"),
        ({"positive": ("Melanom", "Nävus")}, "every answer is a positive one"),
        ({"target": "Klinik"}, "'Klinik' holds 1 different values"),
        ({"target": "Notiz"}, "holds 61 different values"),
        ({"target": "Dauer"}, "'Dauer' holds 1 different"),
        ({"target": "Alter"}, "holds 51 different"),
    ],
)
def test_mistakes_are_answered_with_what_was_meant(
    proposed: Callable[..., Proposal], said: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        proposed(**said)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        *((name, True) for name in ("patient", "Patient_ID", "Patienten-Nr.", "pat_nr", "PatientID", "Person ID", "MRN",
                                    "study_patient_key", "Fallnummer", "subject", "patients", "Probandin", "case id")),
        *((name, False) for name in ("patient_age", "Patientenalter", "patient_sex", "outpatient", "case", "pathology",
                                     "subjective", "personal_history", "pattern")),
    ],
)  # fmt: skip
def test_what_is_told_of_a_patient_names_none(name: str, names: bool) -> None:
    looks = [look_at(pl.Series(name, [str(i // 2) for i in range(20)]), True)]
    assert group_guess(looks, 20, ()).value == (name if names else "")


def test_other_names_of_the_patient_are_no_features(proposed: Callable[..., Proposal]) -> None:
    table = frame(Fallnummer=[str(i // 2) for i in range(ROWS)])
    with pytest.raises(DataError, match=r"which column names the patient, .* \(named like it: Patient, Fallnummer\)"):
        proposed(table, ask=refuse_unsure)
    found = proposed(table, group="Patient")
    assert found.left_out["Fallnummer"] == "named like patients"
    assert "Fallnummer" in [one.name for one in proposed(table, group="Patient", kept=("Fallnummer",)).features]


def test_images_that_no_column_names(proposed: Callable[..., Proposal]) -> None:
    with pytest.raises(DataError, match=r"no column of aufnahmen\.csv names the images: of 2 images"):
        proposed(stems=["x", "y"])


def test_words_around_a_name_are_found() -> None:
    table = pl.DataFrame({"nr": [str(i) for i in range(10, 40)], "x": ["a"] * 30})
    stems = [f"IMG_{i}_dermo" for i in range(10, 40)]
    assert image_guess(table, stems).value == "IMG_{nr}_dermo"


def test_letters_of_two_characters_are_the_same(proposed: Callable[..., Proposal]) -> None:
    import unicodedata

    stems = [unicodedata.normalize("NFD", name) for name in frame()["Aufnahme-Nr"]]
    assert proposed(stems=stems).image.value == "{Aufnahme-Nr}"


@pytest.mark.parametrize(
    ("counts", "value", "sure"),
    [
        ({"0": 5, "1": 3}, "1", True),
        ({"benign": 5, "malignant": 3}, "malignant", True),
        ({"gutartig": 2, "bösartig": 3}, "bösartig", True),
        ({"nein": 2, "ja": 3}, "ja", True),
        ({"naevus": 5, "other": 3}, "other", True),
        ({"A": 5, "B": 3}, "B", False),
    ],
)
def test_which_answer_is_the_bad_one(counts: dict[str, int], value: str, sure: bool) -> None:
    guess = positive_guess(counts)
    assert (guess.value, guess.sure) == (value, sure)


def test_without_a_column_of_patients_somebody_is_asked(proposed: Callable[..., Proposal]) -> None:
    table = frame().rename({"Patient": "Kürzel"})
    assert group_guess(proposed(table).columns, ROWS, ()).value == ""
    asked: list[Question] = []

    def answer(question: Question) -> str:
        asked.append(question)
        return "Kürzel"

    assert proposed(table, ask=answer).group.value == "Kürzel"
    assert "which column names the patient" in asked[0].text
    assert "Kürzel" in asked[0].options
    with pytest.raises(DataError, match="give --group COLUMN"):
        proposed(table, ask=refuse_unsure)
    assert proposed(table, ask=refuse_unsure, group="").groups == ROWS


def test_a_table_alone_needs_a_name_for_each_row(proposed: Callable[..., Proposal]) -> None:
    assert proposed(stems=None).folder_table("t", "")["images"] == ""
    with pytest.raises(DataError, match="add a column that names each row"):
        proposed(frame().drop("Aufnahme-Nr"), stems=None)
