"""`fusionnetx card`: every figure is the one in the run's files, and what describes it for machines is valid."""

import html
import json
import re
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.card.build import text_of, write_card
from pipeline.card.figures import ITEMS, UNANSWERED, Figure, Source
from pipeline.card.sections import Answers
from pipeline.run import Run
from tests.conftest import Once, run_in_process
from tests.pipeline.test_report_classes import seven_classes  # noqa: F401 - the fixture


@pytest.fixture(scope="module")
def carded(once: Once, finished_run: Path, cohort_dir: Path) -> Path:
    """A copy of the finished run with a report, another site's calibration and a card."""

    def make(folder: Path) -> None:
        run = shutil.copytree(finished_run, folder / "tiny")
        site = {"site": {"patients": 12, "positives": 3, "log_loss": {"before": 0.5, "after": 0.25}}}
        (run / "calibrations").mkdir()
        (run / "calibrations" / "b.json").write_text(json.dumps(site))
        for verb in ("report", "card"):
            answer = run_in_process([verb, "--run", str(run)], cache=cohort_dir.parent)
            assert answer.code == 0, answer

    return once("carded", make) / "tiny"


def pointed(run: Path, key: str) -> Any:
    """What stands in the file of the run under a JSON pointer; an independent reader."""
    name, pointer = key.split("#")
    value: Any = Run.open(run).recipe.model_dump(mode="json") if name == "recipe.toml" else json.loads(
        (run / name).read_text()
    )  # fmt: skip
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def check_figures(run: Path, card: Path, least: int) -> None:
    """Every figure of a card against the file that it says it is from."""
    page = (card / "card.html").read_text()
    shown = re.findall(r'<span data-key="([^"]+)">([^<]*)</span>', page)
    assert len(shown) > least
    for key, text in shown:
        value = pointed(run, html.unescape(key))
        if isinstance(value, dict) and "estimate" in value:
            value = value["estimate"]
        said = html.unescape(text)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if isinstance(value, str):
                assert said == value
            continue
        written = re.match(r"[-+]?[\d,.]+(?:e[-+]\d+)?", said).group().replace(",", "")
        # Half of the last digit that is shown.
        last = 10.0 ** -len(written.partition("e")[0].partition(".")[2]) * (0.01 if "%" in said else 1.0)
        number = float(written) * (0.01 if "%" in said else 1.0)
        assert number == pytest.approx(value, rel=6e-3 if "e" in written else 1e-9, abs=0.501 * last), (key, said)
    plain = (card / "card.md").read_text()
    for _, text in shown:
        assert text_of(html.unescape(text)) in plain


def test_every_figure_is_the_one_in_the_runs_files(carded: Path):
    check_figures(carded, carded / "card", 150)


def test_a_card_of_several_classes_of_images(seven_classes: Path, tmp_path: Path):  # noqa: F811
    write_card(Run.open(seven_classes / "run"), tmp_path)
    check_figures(seven_classes / "run", tmp_path, 60)
    plain = (tmp_path / "card.md").read_text()
    answers = pl.read_csv(seven_classes / "ham" / "HAM10000_metadata.csv")["dx"]
    assert f"| Images of vasc | {(answers == 'vasc').sum()} |" in plain
    assert f"| Events (malignant: mel, bcc, akiec) | {answers.is_in(['mel', 'bcc', 'akiec']).sum()} |" in plain
    assert "| Images | Column | AUC | Balanced accuracy | Macro F1 |" in plain
    assert "| Group | Images | Right calls |" in plain
    assert "Share of nv whose set holds it" in plain
    assert re.search(r"\| \w+ called \w+ \|", plain)
    assert "patient" not in re.sub("[^|]*means? nothing[^|]*", "", plain.split("## Items")[0])


def test_every_item_is_answered_or_said_not_to_be(carded: Path):
    plain = (carded / "card" / "card.md").read_text().split("## Items")[1]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", plain, re.MULTILINE))
    assert [item for item in rows if item != "Item"] == [item for item, _ in ITEMS]
    assert rows["Calibration"] == "Calibration"
    assert rows["Recalibration"] == "Recalibration at other sites"
    assert rows["Robustness"] == UNANSWERED
    assert rows["Quality of inputs"] == "Quality of inputs"
    assert rows["Machine-readable data (Croissant)"] == "croissant.json"
    page = (carded / "card" / "card.html").read_text()
    ids = set(re.findall(r'<section id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids


def test_missing_values_and_images_are_those_of_the_table(carded: Path, cohort_dir: Path):
    plain = (carded / "card" / "card.md").read_text().replace("\\_", "_")
    table = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
    hidden = {"target", "lesion_id"}
    shares = {name: (table[name].is_null() | (table[name] == "NA")).mean() for name in table.columns}
    assert f"| Missing: sex | {shares['sex']:.2%} |" in plain
    assert f"| Missing: age_approx | {shares['age_approx']:.2%} |" in plain
    listed = set(re.findall(r"^\| Missing: (\w+) \|", plain, re.MULTILINE))
    assert listed <= {name for name, share in shares.items() if share > 0} - hidden
    lost = pl.read_parquet(carded / "oof" / "oof.parquet").select("narrow").null_count().item()
    assert f"| Training lesions without a usable image | {lost} |" in plain


def test_without_a_report_much_is_unanswered_and_nothing_fails(finished_run: Path, tmp_path: Path):
    folder = tmp_path / "card"
    folder.mkdir()
    write_card(Run.open(finished_run), folder)
    plain = (folder / "card.md").read_text()
    assert "## Subgroups\n\nNot answered by this run." in plain
    assert "| Discrimination, with intervals | Discrimination |" in plain
    assert f"| Machine-readable data (Croissant) | {UNANSWERED} |" in plain


def test_text_of_recipes_stays_text(carded: Path):
    assert text_of("a|b <b>x</b>\n# c `d`") == r"a\|b \<b\>x\</b\> # c \`d\`"
    hostile = Source("<script>alert(1)</script>", "recipe.toml#/description").show()
    assert isinstance(hostile, Figure)
    assert "<script>" not in text_of(hostile)
    assert "http" not in re.sub(r"data:,", "", (carded / "card" / "card.html").read_text())
    assert Answers(Run.open(carded)).metrics.at("nowhere", 3, "x").show() == "–"


def test_the_bill_of_materials_is_valid_and_whole(carded: Path):
    validation = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion

    text = (carded / "card" / "bom.json").read_text()
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {one["name"]: one["version"] for one in json.loads(text)["components"]}
    installed = {one.metadata["Name"].lower().replace("_", "-").replace(".", "-") for one in distributions()}
    assert found.keys() == installed
    assert found["polars"] == pl.__version__


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # those of the library that mlcroissant reads with
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="mlcroissant is not tested there")
def test_the_description_of_the_data_is_valid_and_reads_them(carded: Path, cohort_dir: Path):
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    path = carded / "card" / "croissant.json"
    found = croissant.Dataset(jsonld=path)
    assert not found.metadata.ctx.issues.errors
    described = json.loads(path.read_text())
    here = {one.relative_to(cohort_dir).as_posix() for one in cohort_dir.rglob("*") if one.is_file()}
    assert {one["@id"] for one in described["distribution"]} == {
        one for one in here if not Path(one).name.startswith(".")
    }
    train = next(one for one in described["recordSet"] if one["@id"] == "tables/train-metadata.csv")
    columns = [one["source"]["extract"]["column"] for one in train["field"]]
    assert columns == pl.read_csv(cohort_dir / "train-metadata.csv", n_rows=1).columns
    # The files lie where the description says, from the data folder.
    beside = shutil.copy(path, carded.parent / "croissant.json")
    for one in ("train-metadata.csv",):
        (carded.parent / one).unlink(missing_ok=True)
        (carded.parent / one).symlink_to(cohort_dir / one)
    first = next(iter(croissant.Dataset(jsonld=beside).records("tables/train-metadata.csv")))
    assert (
        first["tables/train-metadata.csv/isic_id"].decode()
        == pl.read_csv(cohort_dir / "train-metadata.csv")["isic_id"][0]
    )


def test_a_damaged_file_is_named(carded: Path, tmp_path: Path, cli: Any):
    run = shutil.copytree(carded, tmp_path / "run")
    (run / "metrics.json").write_text("{")
    answer = cli("card", "--run", run)
    assert answer.code == 2
    assert "metrics.json is damaged" in answer.err
