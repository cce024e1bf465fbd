"""The report of a finished run: every number agrees with metrics.json, and nothing is fetched, missing or stale."""

import copy
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs
from pipeline.recipe import load_recipe
from pipeline.report.metrics import refresh_metrics
from pipeline.report.page import NOTHING, Value, page
from pipeline.run import Run
from tests.forge import forge

SECTIONS = [
    "summary",
    "curves",
    "decision",
    "groups",
    "models",
    "members",
    "ablation",
    "evidence",
    "boosters",
    "gallery",
    "tuning",
    "account",
]
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """What a test asks of a page: elements, the text of figures, and whether tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[tuple[str, str, str]] = []
        self.captions: list[str] = []
        self._open: list[str] = []
        self._data: dict[str, str | None] | None = None
        self._text = ""
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "data":
            self._data, self._text = dict(attrs), ""
        if tag == "figcaption":
            self._text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag
        if tag == "data" and self._data is not None:
            self.figures.append((str(self._data["data-key"]), str(self._data["data-format"]), self._text))
            self._data = None
        if tag == "figcaption":
            self.captions.append(self._text)

    def handle_data(self, data: str) -> None:
        self._text += data


def resolve(document: Any, pointer: str) -> Any:
    """RFC 6901, written from the standard."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


@pytest.fixture(scope="session")
def reported_run(once: Any, finished_run: Path, cohort_dir: Path) -> Path:
    """The finished run with its report; never changed."""
    from tests.conftest import run_in_process  # the package name under importlib mode

    def make(folder: Path) -> None:
        shutil.copytree(finished_run, folder / "tiny")
        answer = run_in_process(["report", "--run", str(folder / "tiny")], cache=cohort_dir.parent)
        assert answer.code == 0, answer

    return once("reported", make) / "tiny"


@pytest.fixture(scope="session")
def metrics(reported_run: Path) -> dict[str, Any]:
    return json.loads((reported_run / "metrics.json").read_text())


@pytest.fixture(scope="session")
def html(reported_run: Path) -> str:
    return (reported_run / "report.html").read_text()


@pytest.fixture(scope="session")
def reader(html: str) -> Reader:
    return Reader(html)


def test_every_number_shown_is_the_one_in_metrics(reader: Reader, metrics: dict[str, Any]) -> None:
    assert len(reader.figures) > 500
    for pointer, spec, text in reader.figures:
        value = resolve(metrics, pointer)
        assert text == (NOTHING if value is None else format(value, spec)), pointer


def test_figures_cover_every_section_of_metrics(reader: Reader) -> None:
    roots = {"/".join(pointer.split("/")[:3]) for pointer, _, _ in reader.figures}
    wanted = {"/cohort/lesions", "/cross_validated/members", "/cross_validated/image_models", "/test/private"}
    wanted |= {f"/report/{name}" for name in ("curves", "groups", "image_models", "correlation", "leave_one_out")}
    wanted |= {f"/report/{name}" for name in ("boosters", "gallery", "account", "published")}
    assert wanted <= roots


def test_every_plot_has_its_words_and_its_source(reader: Reader, metrics: dict[str, Any]) -> None:
    figures = [attributes for tag, attributes in reader.elements if tag == "figure"]
    assert len(figures) == 6 + 1 + 2  # curves, quality and cost, training of two models
    for attributes in figures:
        assert resolve(metrics, str(attributes["data-source"]))
    assert len(reader.captions) == len(figures)
    assert all("n = " in caption for caption in reader.captions)
    drawings = [attributes for tag, attributes in reader.elements if tag == "svg" and attributes.get("role") == "img"]
    ids = {attributes["id"] for _, attributes in reader.elements if "id" in attributes}
    assert len(drawings) == len(figures)
    for attributes in drawings:
        assert set(str(attributes["aria-labelledby"]).split()) <= ids


def test_nothing_is_fetched_and_nothing_runs(html: str, reader: Reader) -> None:
    assert not re.search(r"https?://|@import|url\(", html)
    for tag, attributes in reader.elements:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:"))


def test_sections_sizes_and_keyboard(html: str, reader: Reader) -> None:
    assert len(html.encode()) < 5_000_000
    ids = [str(attributes["id"]) for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [one for one in ids if one in SECTIONS] == SECTIONS
    links = {str(attributes["href"])[1:] for tag, attributes in reader.elements if tag == "a"}
    assert links == set(SECTIONS)
    for tag, attributes in reader.elements:
        if tag == "img":
            assert attributes["alt"]
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_gallery_shows_the_hardest_lesions_with_their_pictures(metrics: dict[str, Any], reader: Reader) -> None:
    gallery = metrics["report"]["gallery"]
    lowest = [entry["probability"] for entry in gallery["malignant_ranked_lowest"]]
    highest = [entry["probability"] for entry in gallery["benign_ranked_highest"]]
    assert lowest == sorted(lowest)
    assert highest == sorted(highest, reverse=True)
    assert max(lowest) < min(highest)
    entry = gallery["malignant_ranked_lowest"][0]
    assert len(entry["pushes"]) == 5
    assert set(entry["said"]) == {"narrow", "wide", "lightgbm_metadata", "lightgbm", "catboost", "xgboost"}
    pictures = sum(tag == "img" for tag, _ in reader.elements)
    assert pictures >= 12


def test_stored_models_give_the_stored_predictions_again(metrics: dict[str, Any]) -> None:
    assert metrics["report"]["boosters"]["largest_difference_to_stored_predictions"] < 1e-6


def test_gain_of_a_member_sums_to_one(metrics: dict[str, Any]) -> None:
    families = metrics["report"]["boosters"]["families"]
    for member in metrics["cross_validated"]["members"]:
        if member != "blend":
            assert sum(row["gain"][member] for row in families) == pytest.approx(1.0)
    for row in families:
        if row["family"].startswith("image_"):
            assert row["gain"]["lightgbm_metadata"] == 0.0


def test_a_report_leaves_the_submission_as_it_was(
    reported_run: Path, tmp_path: Path, tiny_recipe: Path, cli: Callable[..., Any]
) -> None:
    run = shutil.copytree(reported_run, tmp_path / "tiny")
    before = (run / "metrics.json").read_text()
    answer = cli("submission", "--recipe", tiny_recipe, "--run", run)
    assert answer.code == 0
    assert "submission.csv is up to date" in answer.out
    assert (run / "metrics.json").read_text() == before


def test_an_unfinished_run_is_refused_in_one_message(run_copy: Path, cli: Callable[..., Any]) -> None:
    shutil.rmtree(run_copy / "tabular" / "xgboost" / "fold_1")
    answer = cli("report", "--run", run_copy)
    assert answer.code == 2
    assert "1 of 18 models are missing or stale" in answer.err
    assert "xgboost, fold 1" in answer.err
    assert "fusionnetx submission" in answer.err
    assert not (run_copy / "report.html").exists()


def test_a_run_of_nothing_is_refused(tmp_path: Path, tiny_recipe: Path, cli: Callable[..., Any]) -> None:
    Run.of(load_recipe(str(tiny_recipe)), tmp_path / "none").record()
    answer = cli("report", "--run", tmp_path / "none")
    assert answer.code == 2
    assert "has not finished stage two" in answer.err


def without(metrics: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The figures of a run that lacks some parts."""
    less = copy.deepcopy(metrics)
    less["report"] |= changes
    return less


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_models": []}, "The recipe has no image models"),
        ({"leave_one_out": []}, "A blend of one member has nothing to leave out"),
        ({"tuning": []}, "This run was not tuned"),
        ({"ablation": None}, "No ablation of this run as it is now"),
        ({"published": None, "correlation": None}, "What ran"),
    ],
)
def test_missing_parts_are_said_to_be_missing(metrics: dict[str, Any], changes: dict[str, Any], says: str) -> None:
    less = without(metrics, **changes)
    if "image_models" in changes:
        less["cross_validated"]["image_models"] = {}
    text = page(less, {})
    Reader(text)
    assert says in text


def test_real_data_without_answers(metrics: dict[str, Any]) -> None:
    real = without(metrics) | {"test": None, "synthetic": False}
    text = page(real, {})
    assert "Demo test" not in text
    assert "Synthetic cohort" not in text
    assert "no image" in text  # none of the pictures was there
    assert "Another data set" not in text


def test_text_from_recipe_and_data_is_escaped(metrics: dict[str, Any]) -> None:
    hostile = without(metrics) | {"recipe": "<script>alert(1)</script>"}
    hostile["report"]["groups"]["divisions"][1]["groups"][0]["label"] = "<b onclick=x>"
    hostile["report"]["image_models"][0]["name"] = "narrow"
    hostile["report"]["account"]["recipe_toml"] = "</pre><img src=x>"
    text = page(hostile, {})
    assert "<script>" not in text
    assert "<b onclick" not in text
    assert "<img src=x>" not in text


def test_pointers_survive_slashes_and_tildes() -> None:
    document = {"a/b~c": [{"x": 1.5}]}
    value = Value(document)["a/b~c"][0]["x"]
    assert resolve(document, value.pointer) == 1.5


def test_refresh_keeps_a_report_only_for_the_same_scores(
    reported_run: Path, tmp_path: Path, cohort_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONNETX_CACHE", str(cohort_dir.parent))
    run = shutil.copytree(reported_run, tmp_path / "tiny")
    inputs = Inputs(existing_run(str(run)), surroundings())
    assert "report" in refresh_metrics(inputs)
    forge(run / "submission.json", lambda facts: facts.update(fingerprint="another", scores=None))
    fresh = refresh_metrics(inputs)
    assert "report" not in fresh
    assert fresh["test"] is None
    assert json.loads((run / "metrics.json").read_text()) == fresh
    (run / "metrics.json").write_text("{ damaged")
    assert refresh_metrics(inputs) == fresh


def test_a_forged_report_that_lacks_a_part_of_the_test_is_named(run_copy: Path, cli: Any) -> None:
    forge(run_copy / "submission.json", lambda facts: facts["scores"].pop("private"))
    answer = cli("report", "--run", run_copy)
    assert answer.code == 2
    assert "submission.json is missing or damaged; delete it" in " ".join(answer.err.split())
