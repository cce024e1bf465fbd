"""The documentation promises commands, targets, keys and files: each must exist."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

from data.synthetic.isic2024.patients import numbered
from fusionnetx.cli import app
from pipeline.recipe import load_recipe, parse_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
VERBS = typer.main.get_command(app).commands
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
ROOMS = (
    *("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx"),
    *("tests", "benchmarks", "docs", "deploy"),
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def code(page: Path) -> list[str]:
    """Everything set as code: the lines of fenced blocks and the spans between backticks."""
    text = page.read_text()
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]


def commands(page: Path) -> list[str]:
    """Shell lines that call `fusionnetx`, in fences or indented, with continuation lines joined."""
    indented = re.findall(r"^ {4}(.*(?:\\\n.*)*)", FENCE.sub("", page.read_text()), re.MULTILINE)
    lines = "\n".join([*blocks(page, "sh", "bash", "console", ""), *indented]).replace("\\\n", " ").splitlines()
    pattern = r"(?:\$ |\w+=\S+ )?(?:\.venv/bin/)?fusionnetx (\S.*)"
    # `[--lesion ...]` is a form, not a command.
    return [match[1] for line in lines if (match := re.match(pattern, line)) and "..." not in line]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path):
    named = {match for text in code(page) for match in re.findall(r"\bmake ([a-z][a-z-]*)", text)}
    assert named <= TARGETS, f"{name_of(page)} names targets that the Makefile does not have: {named - TARGETS}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_verb_exists(page: Path):
    named = {match for text in code(page) for match in re.findall(r"(?<!import )\bfusionnetx ([a-z][a-z-]*)", text)}
    assert named <= set(VERBS), f"{name_of(page)} names verbs that the command line does not have: {named - set(VERBS)}"


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page)], ids=str)
def test_every_command_is_understood(page: Path, line: str):
    verb, *arguments = shlex.split(line, comments=True)
    options = VERBS[verb].make_context(verb, arguments).params
    if options.get("recipe") and not options["recipe"].endswith(".toml"):
        load_recipe(options["recipe"], options.get("set_") or ())
    elif options.get("set_") and not options.get("recipe"):
        load_recipe("demo", options["set_"])


@pytest.mark.parametrize(
    ("page", "block"),
    # What the pages of docs/adding name is only known once it is added: tests/test_adding.py runs their recipes.
    [(page, block) for page in PAGES if page.parent.name != "adding" for block in blocks(page, "toml")],
    ids=lambda value: str(value)[:40],
)
def test_every_piece_of_a_recipe_is_valid(page: Path, block: str):
    parse_recipe(tomllib.loads(block), origin=name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_key_that_is_given_a_value_exists(page: Path):
    given = [
        text
        for text in code(page)
        if re.fullmatch(r"(data|folds|features|tabular|image_models\[\w+\])(\.\w+(\[\w+\])?)+ ?= ?\S+", text)
    ]
    for text in given:
        key, _, value = text.partition("=")
        load_recipe("demo", [f"{key.strip()}={value.strip()}"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page: Path):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", FENCE.sub("", page.read_text()))
    lost = [link for link in links if not (page.parent / link).exists()]
    assert not lost, f"{name_of(page)} links to files that are not there: {lost}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_is_named_exists(page: Path):
    named = [text for text in code(page) if re.fullmatch(rf"({'|'.join(ROOMS)})/[\w./*-]*", text)]
    # A run folder has `features/` and `tabular/` too, with tables and records.
    ours = [path for path in named if not path.endswith((".json", ".parquet"))]
    lost = [path for path in ours if not any(ROOT.glob(path.rstrip("/")))]
    assert not lost, f"{name_of(page)} names files that are not there: {lost}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_of_a_module_exists(page: Path):
    """`data.patient_batches`, `python -m benchmarks.pack`: what begins as a module of ours is one, or a name in one."""
    spans = [match for text in code(page) for match in re.findall(r"(?<![\w./])(?:-m )([a-z_]+(?:\.\w+)+)", text)]
    lost = [name for name in spans if name.split(".")[0] in ROOMS and not is_module(name)]
    assert not lost, f"{name_of(page)} names modules that are not there: {lost}"


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def test_lesions_that_examples_explain_are_in_the_demo():
    recipe = load_recipe("demo").data.synthetic
    count = recipe.counts.lesions + recipe.test_counts.lesions
    there = set(numbered("ISIC", count, 7, np.random.default_rng([recipe.seed, 0])).tolist())
    said = [line for page in PAGES for line in code(page) if "explain" in line]
    said += VERBS["explain"].epilog.splitlines()
    named = {name for line in said for name in re.findall(r"ISIC_\d{7}", line)}
    assert named
    assert named <= there


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_the_readme_shows_both_commands():
    assert "make submission" in (readme := (ROOT / "README.md").read_text())
    assert "make test" in readme


def test_make_help_lists_every_target():
    listed = re.findall(r"^([a-z][a-z-]*):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(listed) == TARGETS
