"""An evening with a clinic's own folder: from a table and photographs to a report in six commands, at a small scale."""

import datetime
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import polars as pl
import pytest
from PIL import Image

from data.files import read_json
from pipeline.recipe import load_recipe

ROWS = 90
EVENING = ("image_models[0].epochs=2", "image_models[0].hidden=4", "tabular.members[*].iterations=8")


def photograph(path: Path, bad: bool, rng: np.random.Generator) -> None:
    """Skin with a spot; the bad ones are larger."""
    side = 72
    y, x = np.mgrid[:side, :side]
    radius = 9 + 7 * bad + rng.uniform(-3, 3)
    spot = (x - side / 2) ** 2 + (y - side / 2) ** 2 < radius**2
    skin = np.array([224, 172, 150]) + rng.normal(0, 4, (side, side, 3))
    skin[spot] = np.array([96, 60, 48]) + rng.normal(0, 6, (int(spot.sum()), 3))
    Image.fromarray(skin.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clinic has it: umlauts, semicolons, decimal commas, Latin-1, PNG files; and new patients."""
    folder = tmp_path_factory.mktemp("abend") / "Klinik Köln"
    (folder / "Aufnahmen").mkdir(parents=True)
    rng = np.random.default_rng(3)
    lines = ["Aufnahme-Nr;Patient;Größe (mm);Alter;Körperstelle;Histologie;Diagnose"]
    for i in range(ROWS):
        bad, name = i % 3 == 0, f"Läsion_{i:03d}"
        photograph(folder / "Aufnahmen" / f"{name}.png", bad, rng)
        size = f"{rng.uniform(2, 8) + bad:.1f}".replace(".", ",")
        age = "unbekannt" if i % 11 == 0 else str(25 + int(rng.integers(0, 60)))
        place = ("Rücken", "Arm", "Fuß")[i % 5 % 3]
        diagnosis, histology = ("Melanom", "maligne Zellen") if bad else ("Nävus", "o. B.")
        lines.append(f"{name};P{i // 2:03d};{size};{age};{place};{histology};{diagnosis}")
    (folder / "aufnahmen.csv").write_bytes("\r\n".join(lines).encode("latin-1"))
    new = ["Aufnahme-Nr;Patient;Größe (mm);Alter;Körperstelle", "Läsion_001;P900;3,5;;Arm"]
    (folder / "neu.csv").write_bytes("\r\n".join(new).encode("latin-1"))
    return folder


@pytest.fixture
def there(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above the clinic's, in which the commands are given."""
    monkeypatch.chdir(clinic.parent)
    return clinic.parent


TABLE, PHOTOS, DATA = "Klinik Köln/aufnahmen.csv", "Klinik Köln/Aufnahmen", "Klinik Köln"


@pytest.mark.slow
def test_an_evening_of_six_commands(cli: Callable[..., Any], there: Path) -> None:
    def run(*arguments: object) -> str:
        answer = cli(*arguments, cache=there / "cache")
        assert answer.code == 0, answer
        return str(answer.out)

    said = run("init", TABLE, PHOTOS, "--target", "Diagnose")
    assert "read as semicolons, decimal comma" in said
    assert "Histologie: it alone tells the answer with an AUC of 1.000" in said
    assert "next: fusionnetx check --recipe aufnahmen.toml --data 'Klinik Köln'" in said

    said = run("check", "--recipe", "aufnahmen.toml", "--data", DATA)
    assert "a run can start (0 warnings)" in said
    assert "Größe (mm)" in said
    assert "no test part" in said

    changes = [word for change in EVENING for word in ("--set", change)]
    said = run("submission", "--recipe", "aufnahmen.toml", "--data", DATA, *changes)
    assert "cross-validated auc" in said
    assert "has no test part, so there is nothing to submit" in said
    assert "next: fusionnetx report --run runs/aufnahmen" in said
    assert (
        read_json(there / "runs/aufnahmen/metrics.json")["cross_validated"]["members"]["blend"]["auc"]["estimate"] > 0.5
    )

    assert "report.html" in run("report", "--run", "aufnahmen")
    page = (there / "runs/aufnahmen/report.html").read_text(encoding="utf-8")
    assert "Größe" in page
    assert "Gr_" not in page

    assert "aufnahmen" in run("runs")
    images = ("--images", PHOTOS)
    said = run("predict", "--run", "aufnahmen", "--metadata", f"{DATA}/neu.csv", *images, "--out", "antwort.csv")
    assert "1 row of 1 patient\n" in said
    assert "wrote 1 row to antwort.csv" in said
    answer = pl.read_csv(there / "antwort.csv")
    assert answer.columns[:3] == ["Patient", "Aufnahme-Nr", "probability"]
    assert answer["probability"].is_between(0, 1).all()


def test_the_recipe_that_init_writes_says_why(cli: Callable[..., Any], there: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert cli("init", TABLE, PHOTOS, "--target", "Diagnose", "--out", out).code == 0
    text = out.read_text(encoding="utf-8")
    recipe = load_recipe(str(out))
    assert recipe.data.folder is not None
    assert recipe.data.folder.forbidden == ("Histologie",)
    assert recipe.data.folder.group == "Patient"
    assert recipe.features.extra_columns == ("Größe (mm)", "Alter", "Körperstelle")
    assert "# Histologie: it alone tells the answer with an AUC of 1.000" in text
    assert "# Read as semicolons, decimal comma" in text
    assert "# Nävus 60; Melanom 30" in text
    assert max(map(len, text.splitlines())) < 150
    again = cli("init", TABLE, PHOTOS, "--target", "Diagnose", "--out", out)
    assert again.code == 2
    assert "is there already: give another name with --out" in again.err


def test_a_table_alone(cli: Callable[..., Any], there: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.toml"
    assert cli("init", TABLE, "--target", "Diagnose", "--positive", "Nävus", "--out", out).code == 0
    raw = tomllib.loads(out.read_text(encoding="utf-8"))
    assert raw["data"]["folder"]["positive"] == ["Nävus"]
    assert raw["data"]["folder"]["images"] == ""
    assert "image_models" not in raw
    answer = cli("check", "--recipe", out, "--data", DATA)
    assert answer.code == 0, answer


def test_images_in_a_zip_beside_the_table_are_named_and_read(
    cli: Callable[..., Any], clinic: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Köln"
    folder.mkdir()
    table = shutil.copy(clinic / "aufnahmen.csv", folder)
    packed = Path(shutil.make_archive(str(folder / "Aufnahmen"), "zip", clinic, "Aufnahmen"))
    out = tmp_path / "mine.toml"
    answer = cli("init", table, "--target", "Diagnose", "--out", out)
    assert answer.code == 0, answer
    assert "Aufnahmen.zip holds images, and the recipe is for the table alone" in answer.out
    out.unlink()
    assert cli("init", table, packed, "--target", "Diagnose", "--out", out).code == 0
    answer = cli("check", "--recipe", out, "--data", folder)
    assert answer.code == 0, answer
    assert f"{ROWS} found, 0 missing, 0 extra" in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TABLE, "Klinik Köln/Aufnahme", "--target", "Diagnose"), ["does not exist", "did you mean 'Aufnahmen'"]),
        (("Klinik Köln/aufnahme.csv", "--target", "Diagnose"), ["did you mean 'aufnahmen.csv'"]),
        ((TABLE, "photos.7z", "--target", "Diagnose"), ["is an archive: unpack it first"]),
        ((TABLE, "photos.zip", "--target", "Diagnose"), ["photos.zip does not exist"]),
        ((TABLE, "--target", "Diagnosen"), ["did you mean 'Diagnose'"]),
        ((TABLE, "--target", "Diagnose", "--positive", "Melanoma"), ["did you mean 'Melanom'"]),
        ((TABLE, "--target", "Körperstelle", "--decimal", ";"), ["--decimal ';': it is '.' or ','"]),
    ],
)
def test_mistakes_get_one_message(
    cli: Callable[..., Any], there: Path, tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    answer = cli("init", *arguments, "--out", tmp_path / "new.toml")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert all(word in answer.err for word in words), answer.err
    assert not (tmp_path / "new.toml").exists()


@pytest.fixture
def recipe(cli: Callable[..., Any], there: Path, tmp_path: Path) -> Path:
    out = tmp_path / "mine.toml"
    assert cli("init", TABLE, PHOTOS, "--target", "Diagnose", "--out", out).code == 0
    return out


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("image_models[0].backbone=lesion_nett", 2, ["'lesion_nett'", "did you mean 'lesion_net'"]),
        ("image_models[0].head=timm", 2, ["head = 'timm' does not fit"]),
        ("image_models[0].pretrained=none.safetensors", 2, ["weights none.safetensors do not exist"]),
        ("image_models[0].image_size=128", 0, ["sees 128 px, but images are packed at 64 px"]),
        ("image_models[0].metadata={columns=['Alterr'], widths=[4]}", 2, ["no column Alterr (it has Alter)"]),
        ("features.extra_columns=['Alterr']", 2, ["have no column 'Alterr'; did you mean 'Alter'"]),
        ("features.extra_columns=['Histologie']", 2, ["Histologie exist only where the diagnosis is known"]),
        ("features.unused_columns=['Altr']", 0, ["warning: features.unused_columns", "did you mean 'Alter'"]),
        ("folds.count=40", 2, ["40 folds need every class in at least 40 patients"]),
        ("data.folder.positive=['melanom']", 2, ["no row is melanom", "did you mean 'Melanom'", "the rows hold"]),
        ("data.folder.target=diagnose", 2, ["column diagnose is missing (the file has 'Diagnose')"]),
        ("data.folder.metadata=aufnahme.csv", 2, ["did you mean 'aufnahmen.csv'"]),
        ("data.folder.images=Aufnamen", 2, ["does not exist", "did you mean 'Aufnahmen'"]),
        ("data.folder.forbidden=[]", 0, ["a run can start"]),
        ("image_models[0].batch_size=65536", 0, ["GB to train", "lower its batch_size"]),
    ],
)
def test_check_finds_before_the_work_what_would_stop_it(
    cli: Callable[..., Any], recipe: Path, tmp_path: Path, change: str, code: int, words: list[str]
) -> None:
    answer = cli("check", "--recipe", recipe, "--data", DATA, "--set", change, cache=tmp_path / "cache")
    assert answer.code == code, answer
    assert all(word in answer.out for word in words), answer.out
    assert not (tmp_path / "cache").exists()


def test_check_warns_of_a_feature_that_gives_the_answer_away(cli: Callable[..., Any], recipe: Path) -> None:
    changes = ("--set", "data.folder.forbidden=[]", "--set", "features.extra_columns=['Histologie']")
    answer = cli("check", "--recipe", recipe, "--data", DATA, *changes)
    assert answer.code == 0
    assert "warning: Histologie: it alone tells the answer" in answer.out


def test_a_workbook_with_several_sheets_dates_and_numbered_patients(
    cli: Callable[..., Any], there: Path, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Hinweise"
    for row in (["Name", "Telefon"], ["Dr. Groß", "0221"]):
        book.active.append(row)
    sheet = book.create_sheet("Daten")
    sheet.append(["Foto", "Person", "Termin", "Größe", "Diagnose"])
    for i in range(40):
        # As people have them: with a suffix, without, in capitals; with a time of day, and without.
        name = f"Läsion_{i:03d}" + ("", ".png", ".PNG")[i % 3]
        day = datetime.datetime(2024, 1 + i % 12, 1 + i % 28, 8 * (i % 2), 30 * (i % 2))
        sheet.append([name, 100 + i // 2, day, 1.5 + i, ("Nävus", "Melanom")[i % 4 == 0]])
    table = tmp_path / "mappe.xlsx"
    book.save(table)
    out = tmp_path / "mappe.toml"
    command = ("init", table, PHOTOS, "--target", "Diagnose", "--group", "Person", "--out", out)
    answer = cli(*command)
    assert answer.code == 2
    assert "the table has no column 'Person'; sheet 'Daten' has it (--sheet, data.folder.sheet)" in answer.err
    answer = cli(*command, "--sheet", "Daten")
    assert answer.code == 0, answer
    folder = load_recipe(str(out)).data.folder
    assert folder is not None
    assert (folder.ignored, folder.numbers, folder.image) == (("Termin",), ("Größe",), "")
    said = cli("check", "--recipe", out, "--data", tmp_path)
    assert said.code == 0, said
    for words in (answer.out, said.out):
        assert re.search(r"Foto +│ names rows", words)
        assert re.search(r"Person +│ names groups", words)
        assert re.search(r"Diagnose +│ category", words)
    assert "40 found, 0 missing, " in said.out
    assert re.search(r"│ rows +│ 40 ", said.out)
    assert re.search(r"│ patients +│ 20 ", said.out)
    wrong = cli("check", "--recipe", out, "--data", tmp_path, "--set", "data.folder.sheet=Hinweise")
    assert "sheet 'Daten' has it" in wrong.out
